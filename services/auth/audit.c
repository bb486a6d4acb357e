/*
 * auth's part of the audit trail: what was done to accounts, keys, users and logins, and by whom
 * health data was read.
 */
#include "services/auth/audit.h"

#include "services/auth/commands.h"

static const char *const silent[] = { "revoke_settled", "edge_registered", "edge_gone",
	                              "kept",           "login_forgotten", NULL };

const struct audit_source audit_of_auth = {
	.event = &events__auth_event__descriptor,
	.silent = silent,
	.letter = 'a',
};

void audit_wanted(struct auth *auth, struct bus_call *call, const struct uuid *account,
                  const Raeh__ListAudit *list)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Raeh__AuditPage *page = NULL;
	char text[AUDIT_WHY];
	struct refusal why;
	enum err err =
	        audit_list(&audit_of_auth, auth->store, auth->journal, account, list, text, &page);

	if (err != OK) {
		why = err == ERR_MALFORMED
		              ? refusal(400, "%s", text)
		              : refusal_of(err, REFUSAL_AWAY("the audit trail cannot be read"));
		core_refuse(auth, call, &why);
		return;
	}
	reply.result_case = AUTH__AUTH_REPLY__RESULT_AUDIT;
	reply.audit = page->list;
	reply.audit_place = page->place;
	core_answer(auth, call, &reply);
	wire_free(&page->base);
}
