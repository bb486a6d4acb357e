#include "services/cli/health.h"
#include "auth.pb-c.h"
#include "common/wire.h"
#include "edge.pb-c.h"

#include <criterion/criterion.h>

static bool is_known(const char *name)
{
	struct buf question = { 0 };
	bool known = health_question(name, &question);

	cr_assert_eq(known, question.len > 0);
	buf_free(&question);
	return known;
}

Test(health, knows_the_services_of_an_installation_by_their_names_on_the_bus)
{
	const char *const good[] = { "auth", "router", "publisher-0", "publisher-63", "edge-1" };
	const char *const bad[] = { "",          "auth-",     "auth.admin", "routers",
		                    "publisher", "edge-",     "edge-x",     "edge-1x",
		                    "edge--1",   "edge-1000", "up",         "Auth" };

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		cr_assert(is_known(good[i]), "%s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert(!is_known(bad[i]), "%s", bad[i]);
}

Test(health, asks_each_kind_of_service_in_its_own_words)
{
	struct buf question = { 0 };
	ProtobufCMessage *message;

	cr_assert(health_question("edge-1", &question));
	message = wire_unpack(&edge__edge_request__descriptor, BYTES(question.data, question.len));
	cr_assert_not_null(message);
	cr_assert_eq(((Edge__EdgeRequest *)message)->command_case,
	             EDGE__EDGE_REQUEST__COMMAND_METRICS);
	wire_free(message);
	buf_free(&question);

	cr_assert(health_question("auth", &question));
	message = wire_unpack(&auth__auth_request__descriptor, BYTES(question.data, question.len));
	cr_assert_not_null(message);
	cr_assert_eq(((Auth__AuthRequest *)message)->command_case,
	             AUTH__AUTH_REQUEST__COMMAND_METRICS);
	wire_free(message);
	buf_free(&question);
}
