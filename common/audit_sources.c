/* Which events of the two journals are a part of the trail. */
#include "common/audit.h"

#include "events.pb-c.h"

static const char *const silent_of_auth[] = { "revoke_settled", "edge_registered", "edge_gone",
	                                      "kept",           "login_forgotten", NULL };
static const char *const hidden_of_auth[] = { NULL };
static const char *const erasures_of_auth[] = { "account_closing", "account_erased", NULL };

const struct audit_source audit_of_auth = {
	.event = &events__auth_event__descriptor,
	.silent = silent_of_auth,
	.hidden = hidden_of_auth,
	.letter = 'a',
	.erasures = erasures_of_auth,
	.erases_all = true,
};

static const char *const silent_of_router[] = { "session_closed", "sessions_erased", NULL };
/* An answer that is kept may say what a device model is called. */
static const char *const hidden_of_router[] = { "kept", NULL };
static const char *const erasures_of_router[] = { "erasing", "erased", NULL };

const struct audit_source audit_of_router = {
	.event = &events__router_event__descriptor,
	.silent = silent_of_router,
	.hidden = hidden_of_router,
	.letter = 'r',
	.erasures = erasures_of_router,
};
