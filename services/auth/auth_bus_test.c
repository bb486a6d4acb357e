/* The actor over the real bus, store and loop: what the process is made of. */
#include "common/keys.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/wire.h"
#include "services/auth/auth.h"

#include "auth.pb-c.h"
#include "edge.pb-c.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEADLINE_MS 5000

static struct loop *loop;
static struct bus *bus;      /* auth's */
static struct bus *edge_bus; /* of one who asks */
static struct store *store;
static struct hasher *hasher;
static struct auth *auth;
static char directory[] = "/tmp/raeh-auth-test-XXXXXX";
static uint64_t applied;
static const uint8_t incarnation[16] = { 1, 2, 3 };

static void start(void)
{
	struct auth_deps deps = { .loop = loop, .process = "auth", .lease_ms = LEASE_MS_DEFAULT };
	struct bus_config config = { directory, NULL, NULL, NULL };
	char path[256], why[256];

	(void)snprintf(path, sizeof path, "%s/store", directory);
	cr_assert_eq(bus_open(loop, &config, &bus), OK);
	cr_assert_eq(store_open(path, KEY_RUN_SESSION, loop, why, &store), OK, "%s", why);
	hasher = hasher_new(loop, HASHER_THREADS);
	deps.bus = bus;
	deps.store = store;
	deps.hasher = hasher;
	cr_assert_eq(auth_new(&deps, &auth), OK);
}

static void stop(void)
{
	auth_free(auth);
	hasher_free(hasher);
	store_close(store);
	bus_close(bus);
}

static void on_apply(void *ctx, struct bus_call *call, struct bytes bytes)
{
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&edge__edge_request__descriptor, bytes);
	const Auth__Notices *notices = ((const Edge__EdgeRequest *)message)->apply_notices;
	Edge__EdgeReply reply = EDGE__EDGE_REPLY__INIT;
	struct buf buf = { 0 };

	(void)ctx;
	applied = notices->notices[notices->n_notices - 1]->number;
	reply.has_applied = true;
	reply.applied = applied;
	bus_reply(call, wire_pack(&buf, &reply.base));
	buf_free(&buf);
}

static void given_an_auth_on_a_real_bus(void)
{
	struct bus_config config = { directory, NULL, NULL, NULL };

	cr_assert(sodium_init() >= 0);
	cr_assert(mkdtemp(directory) != NULL);
	log_init("auth", LOG_WARN);
	loop = loop_new();
	start();
	cr_assert_eq(bus_open(loop, &config, &edge_bus), OK);
	cr_assert_eq(bus_serve(edge_bus, "edge-0", 0, on_apply, NULL), OK);
}

static void done(void)
{
	char command[320];

	stop();
	bus_close(edge_bus);
	loop_free(loop);
	(void)snprintf(command, sizeof command, "rm -rf %s", directory);
	cr_assert_eq(system(command), 0);
}

struct answer {
	bool came;
	enum err err;
	struct buf bytes;
};

static void on_answer(void *ctx, enum err err, struct bytes reply)
{
	struct answer *answer = ctx;

	answer->came = true;
	answer->err = err;
	buf_append(&answer->bytes, reply.data, reply.len);
}

static void nothing(void *ctx)
{
	(void)ctx;
}

/* The reply, kept until the test ends. */
static ProtobufCMessage *ask(const char *name, const ProtobufCMessage *request,
                             const ProtobufCMessageDescriptor *type)
{
	struct answer answer = { 0 };
	struct timer awake = { 0 };
	struct buf buf = { 0 };
	ProtobufCMessage *reply;

	bus_request(edge_bus, name, wire_pack(&buf, request), DEADLINE_MS, on_answer, &answer);
	while (!answer.came) {
		timer_set(loop, &awake, 10, nothing, NULL);
		loop_dispatch(loop);
	}
	timer_stop(loop, &awake);
	cr_assert_eq(answer.err, OK);
	reply = wire_unpack(type, BYTES(answer.bytes.data, answer.bytes.len));
	cr_assert(reply != NULL);
	buf_free(&buf);
	buf_free(&answer.bytes);
	return reply;
}

static Auth__AuthReply *ask_admin(Auth__AdminRequest *request)
{
	uint8_t op_id[16];

	randombytes_buf(op_id, sizeof op_id);
	request->has_op_id = true;
	request->op_id = (ProtobufCBinaryData){ sizeof op_id, op_id };
	return (Auth__AuthReply *)ask("auth.admin", &request->base, &auth__auth_reply__descriptor);
}

static uint32_t status_of_verify(const char *credential)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__Verify verify = AUTH__VERIFY__INIT;
	AUTO(wire_free) ProtobufCMessage *reply = NULL;

	verify.credential = (char *)credential;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_VERIFY;
	request.verify = &verify;
	reply = ask("auth", &request.base, &auth__auth_reply__descriptor);
	return ((Auth__AuthReply *)reply)->error ? ((Auth__AuthReply *)reply)->error->status : 200;
}

static void register_edge(void)
{
	Auth__LeaseRequest request = AUTH__LEASE_REQUEST__INIT;
	Auth__Register command = AUTH__REGISTER__INIT;
	AUTO(wire_free) ProtobufCMessage *reply = NULL;

	command.holds_slot_lock = true;
	request.incarnation = (ProtobufCBinaryData){ 16, (uint8_t *)incarnation };
	request.command_case = AUTH__LEASE_REQUEST__COMMAND_REGISTER_EDGE;
	request.register_edge = &command;
	reply = ask("auth.lease", &request.base, &auth__lease_reply__descriptor);
	cr_assert_eq(((Auth__LeaseReply *)reply)->lease_ms, LEASE_MS_DEFAULT);
}

static char *create_account(void)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__CreateAccount create = AUTH__CREATE_ACCOUNT__INIT;
	char password[] = "correct horse battery staple", *id;
	Auth__AuthReply *reply;

	create.email = (char *)"Somebody@Example.org";
	create.password = password;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_CREATE_ACCOUNT;
	request.create_account = &create;
	reply = ask_admin(&request);
	cr_assert(reply->account != NULL && !reply->error);
	cr_assert_str_eq(reply->account->email, "somebody@example.org");
	id = xstrdup(reply->account->account_id);
	wire_free(&reply->base);
	return id;
}

static Auth__AuthReply *mint(char *account)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__MintKey command = AUTH__MINT_KEY__INIT;

	command.label = (char *)"first";
	request.account = account;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_MINT_KEY;
	request.mint_key = &command;
	return ask_admin(&request);
}

static Auth__AuthReply *revoke_key(char *id)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__RevokeKey command = AUTH__REVOKE_KEY__INIT;

	command.id = id;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_REVOKE_KEY;
	request.revoke_key = &command;
	return ask_admin(&request);
}

/* Whether any file below the directory holds the text. */
static bool is_on_disk(const char *text)
{
	char command[512];

	(void)snprintf(command, sizeof command, "grep -rqF -e %s %s", text, directory);
	return system(command) == 0;
}

TestSuite(auth_bus, .init = given_an_auth_on_a_real_bus, .fini = done);

Test(auth_bus, mints_verifies_and_revokes_and_forgets_nothing_over_a_restart)
{
	char *account = create_account();
	Auth__AuthReply *minted, *kept, *revoked;

	register_edge();
	minted = mint(account);
	kept = mint(account);
	cr_assert_eq(strlen(minted->key->key), 41);
	cr_assert_eq(status_of_verify(minted->key->key), 200);
	revoked = revoke_key(minted->key->id);
	cr_assert(revoked->receipt != NULL);
	cr_assert_eq(revoked->receipt->edges_acked, 1);
	cr_assert_eq(applied, 1);
	cr_assert_eq(status_of_verify(minted->key->key), 401);
	stop();
	cr_assert(!is_on_disk(minted->key->key), "a credential was stored");
	cr_assert(!is_on_disk(kept->key->key), "a credential was stored");
	cr_assert(is_on_disk(kept->key->hint), "nothing was stored at all");
	start();
	cr_assert_eq(status_of_verify(minted->key->key), 401);
	cr_assert_eq(status_of_verify(kept->key->key), 200);
	wire_free(&minted->base);
	wire_free(&kept->base);
	wire_free(&revoked->base);
	mem_free(account);
}
