#include "services/cli/admin.h"

#include "common/bus.h"
#include "common/json.h"
#include "common/wire.h"
#include "services/cli/installation.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define STARTING_MS 10000 /* a stack that is coming up */
#define ABSENT_MS   1500  /* no `raeh up` there: services may still be run by others */

struct asking {
	struct loop *loop;
	Auth__AuthReply *reply;
	enum err err;
};

static void on_reply(void *self, enum err err, struct bytes reply)
{
	struct asking *asking = self;

	asking->err = err;
	if (err == OK)
		asking->reply =
		        (Auth__AuthReply *)wire_unpack(&auth__auth_reply__descriptor, reply);
	loop_stop(asking->loop);
}

static Auth__AuthReply *ask(struct loop *loop, struct bus *bus, const Auth__AdminRequest *request,
                            int64_t deadline_ms)
{
	struct asking asking = { .loop = loop };
	struct buf packed = { 0 };

	bus_request(bus, "auth.admin", wire_pack(&packed, &request->base), deadline_ms, on_reply,
	            &asking);
	loop_run(loop);
	if (packed.data)
		sodium_memzero(packed.data, packed.len);
	buf_free(&packed);
	return asking.reply;
}

/* A cheap question first: what follows may have to wait long for good reasons. */
static bool is_there(struct loop *loop, struct bus *bus, const char *data)
{
	Auth__AdminRequest ping = AUTH__ADMIN_REQUEST__INIT;
	Raeh__Empty empty = RAEH__EMPTY__INIT;
	Auth__AuthReply *reply;

	ping.command_case = AUTH__ADMIN_REQUEST__COMMAND_METRICS;
	ping.metrics = &empty;
	reply = ask(loop, bus, &ping, installation_look(data).holder ? STARTING_MS : ABSENT_MS);
	if (reply)
		wire_free(&reply->base);
	return reply != NULL;
}

static bool open_bus(const struct admin_place *place, struct loop *loop, struct bus **ret)
{
	AUTO_MEM char *run = xasprintf("%s/run", place->data);
	const struct bus_config config = { run, place->bus_ca, place->bus_cert, place->bus_hosts };
	struct stat st;

	if (stat(run, &st) != 0) /* the bus would make it */
		return false;
	return bus_open(loop, &config, ret) == OK;
}

static Auth__AuthReply *ask_over(const struct admin_place *place, struct loop *loop,
                                 const Auth__AdminRequest *request, int64_t deadline_ms)
{
	AUTO(bus_close) struct bus *bus = NULL;
	Auth__AuthReply *reply;

	if (!open_bus(place, loop, &bus) || !is_there(loop, bus, place->data)) {
		cli_say("no stack is running on %s; `raeh up --data %s` starts one", place->data,
		        place->data);
		return NULL;
	}
	reply = ask(loop, bus, request, deadline_ms);
	if (!reply)
		cli_say("auth does not answer; its log says why");
	return reply;
}

Auth__AuthReply *admin_ask_quietly(const struct admin_place *place, Auth__AdminRequest *request,
                                   int64_t deadline_ms, int *ret_status)
{
	AUTO(loop_free) struct loop *loop = loop_new();
	uint8_t op_id[16];
	Auth__AuthReply *reply;

	MUST(sodium_init() >= 0);
	(void)signal(SIGPIPE, SIG_IGN);
	randombytes_buf(op_id, sizeof op_id);
	request->has_op_id = true;
	request->op_id = wire_bytes(BYTES(op_id, sizeof op_id));
	reply = ask_over(place, loop, request, deadline_ms);
	request->op_id = (ProtobufCBinaryData){ 0 };
	request->has_op_id = false;
	*ret_status = reply ? CLI_DONE : CLI_FAILED;
	return reply;
}

Auth__AuthReply *admin_ask(const struct admin_place *place, Auth__AdminRequest *request,
                           int64_t deadline_ms, int *ret_status)
{
	Auth__AuthReply *reply = admin_ask_quietly(place, request, deadline_ms, ret_status);

	if (reply && reply->error) {
		*ret_status = cli_fail("%s", reply->error->detail);
		wire_free(&reply->base);
		return NULL;
	}
	return reply;
}

void admin_print(const ProtobufCMessage *message)
{
	char *text = json_of_message(message);

	(void)printf("%s\n", text);
	(void)fflush(stdout);
	sodium_memzero(text, strlen(text));
	mem_free(text);
}
