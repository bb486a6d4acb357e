/* The erasing of devices and accounts: devices.h tells the story. */
#include "common/audit.h"
#include "common/clock.h"
#include "common/list.h"
#include "common/log.h"
#include "publisher.pb-c.h"
#include "services/router/devices.h"
#include "services/router/reconcile.h"
#include "services/router/sessions.h"
#include "services/router/view.h"

#include <stdio.h>
#include <string.h>

#define CHUNK       50 /* sessions between two events */
#define ASK_MS      5000
#define RETRY_MS    1000
#define CALLS_MOST  16 /* who waits for the same; the oldest makes room, and asks again */
#define CLOSE_CODE  4004
#define SAID_DEVICE "this device was deleted"

struct waiting {
	struct bus_call *call;
	Router__RouterRequest *request; /* for a repeat of it */
};

/* One under way. */
struct erasing {
	struct list link;
	struct router *router;
	struct uuid account;
	char *device_id; /* NULL: all of the account */
	uint8_t id[sizeof(struct uuid)];
	size_t id_len;
	struct waiting waiting[CALLS_MOST];
	size_t n_waiting;
	uint64_t sessions, frames, insights; /* removed so far */
	struct {
		struct uuid id;
		unsigned partition;
		bool is_open;
	} chunk[CHUNK];
	size_t n, at;
	bool is_asking;     /* a publisher, or the journal */
	uint64_t looked_at; /* the newest record of the journal that was */
	bool is_redacted;   /* those that name the device, or the account */
	struct timer timer;
};

struct erasings {
	struct list all;
};

static struct erasing *find(struct router *router, const struct uuid *account,
                            const char *device_id)
{
	LIST_EACH(link, &router->erasings->all)
	{
		struct erasing *erasing = LIST_OWNER(link, struct erasing, link);
		bool same = erasing->device_id && device_id
		                    ? strcmp(erasing->device_id, device_id) == 0
		                    : !erasing->device_id && !device_id;

		if (same && uuid_equal(&erasing->account, account))
			return erasing;
	}
	return NULL;
}

/* ---- the end ---- */

static void free_waiting(struct waiting *waiting)
{
	if (waiting->request)
		wire_free(&waiting->request->base);
}

static void free_erasing(struct erasing *erasing)
{
	timer_stop(erasing->router->deps.loop, &erasing->timer);
	for (size_t i = 0; i < erasing->n_waiting; i++)
		free_waiting(&erasing->waiting[i]);
	list_remove(&erasing->link);
	mem_free(erasing->device_id);
	mem_free(erasing);
}

static void finish(struct erasing *erasing)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Router__Removed removed = ROUTER__REMOVED__INIT;

	removed.sessions = erasing->sessions;
	removed.frames = erasing->frames;
	removed.insights = erasing->insights;
	reply.result_case = ROUTER__ROUTER_REPLY__RESULT_REMOVED;
	reply.removed = &removed;
	log_info("erased", "of=%s sessions=%llu frames=%llu insights=%llu",
	         erasing->device_id ? "device" : "account", (unsigned long long)erasing->sessions,
	         (unsigned long long)erasing->frames, (unsigned long long)erasing->insights);
	for (size_t i = 0; i < erasing->n_waiting; i++) {
		const struct command command = { .call = erasing->waiting[i].call,
			                         .request = erasing->waiting[i].request,
			                         .account = erasing->account };

		answer_once(erasing->router, &command, &reply);
	}
	free_erasing(erasing);
}

static void next(struct erasing *erasing);

static void on_time(void *ctx)
{
	next(ctx);
}

static void again(struct erasing *erasing)
{
	timer_set(erasing->router->deps.loop, &erasing->timer, RETRY_MS, on_time, erasing);
}

/* ---- our own events ---- */

static void run_event(struct router *router, struct command *command)
{
	struct erasing *erasing = command->ctx;
	Events__RouterEvent event = command_event(command);
	Events__SessionsErased sessions = EVENTS__SESSIONS_ERASED__INIT;
	Events__Erasing erased = EVENTS__ERASING__INIT;
	ProtobufCBinaryData ids[CHUNK];

	(void)router;
	if (erasing->n > 0) {
		for (size_t i = 0; i < erasing->n; i++)
			ids[i] = wire_bytes_of(&erasing->chunk[i].id);
		sessions.n_ids = erasing->n;
		sessions.ids = ids;
		event.event_case = EVENTS__ROUTER_EVENT__EVENT_SESSIONS_ERASED;
		event.sessions_erased = &sessions;
	} else {
		erased.has_id = 1; /* not by its name: that is to be gone */
		erased.id = (ProtobufCBinaryData){ erasing->id_len, erasing->id };
		event.event_case = EVENTS__ROUTER_EVENT__EVENT_ERASED;
		event.erased = &erased;
	}
	command_append(command, &event);
}

static void count_erased(struct router *router, struct erasing *erasing)
{
	erasing->sessions += erasing->n;
	router->metrics.sessions_erased_total += erasing->n;
	for (size_t i = 0; i < erasing->n; i++) {
		router->metrics.sessions_open -= erasing->chunk[i].is_open;
		router->metrics.sessions_closed_total += erasing->chunk[i].is_open;
	}
}

static void done_event(struct router *router, struct command *command, enum err err)
{
	struct erasing *erasing = command->ctx;
	const char *device_id = erasing->device_id ? erasing->device_id : "";

	erasing->is_asking = false;
	if (err != OK) {
		again(erasing);
	} else if (erasing->n > 0) {
		count_erased(router, erasing);
		next(erasing);
	} else if (view_erasing(router->deps.store, &erasing->account, device_id) ==
	           ERR_NOT_FOUND) {
		finish(erasing);
	} else {
		again(erasing); /* a session was being opened, or the account is going */
	}
}

static const struct command_ops event_ops = { run_event, done_event };

static struct gate_key gate_of(const struct uuid *account, const char *device_id)
{
	static const struct uuid nil;

	return gate_key_of('X', account, &nil, device_id ? device_id : "");
}

static void append(struct erasing *erasing)
{
	struct command *command;

	if (commands_count(erasing->router->commands) >= COMMANDS_MAX) {
		again(erasing);
		return;
	}
	command = command_new(&event_ops, NULL, NULL);
	command->account = erasing->account;
	command->ctx = erasing;
	erasing->is_asking = true;
	command_start(erasing->router, command, gate_of(&erasing->account, erasing->device_id));
}

/* ---- at the publishers ---- */

static void ask(struct erasing *erasing);

static void on_reply(void *ctx, enum err err, struct bytes bytes)
{
	struct erasing *erasing = ctx;
	Publisher__PublisherReply *reply = NULL;
	bool done;

	if (err == OK)
		reply = (Publisher__PublisherReply *)wire_unpack(
		        &publisher__publisher_reply__descriptor, bytes);
	done = reply && !reply->error &&
	       reply->result_case == PUBLISHER__PUBLISHER_REPLY__RESULT_ERASED;
	erasing->is_asking = false;
	if (done) {
		erasing->frames += reply->erased->frames;
		erasing->insights += reply->erased->insights;
		erasing->at += !reply->more;
	} else {
		log_warn("erasing-waits", "publisher=%u err=%s",
		         erasing->chunk[erasing->at].partition % erasing->router->deps.publishers,
		         err_name(err));
		again(erasing);
	}
	if (reply)
		wire_free(&reply->base);
	if (done)
		ask(erasing);
}

static void ask(struct erasing *erasing)
{
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__EraseSession erase = PUBLISHER__ERASE_SESSION__INIT;
	Publisher__Closing closing = PUBLISHER__CLOSING__INIT;
	struct buf buf = { 0 };
	char name[BUS_NAME_MAX];

	if (erasing->at == erasing->n) {
		append(erasing);
		return;
	}
	closing.close_code = CLOSE_CODE;
	closing.close_reason = (char *)SAID_DEVICE;
	closing.ended_at = clock_wall_ms();
	erase.account = wire_bytes_of(&erasing->account);
	erase.session = wire_bytes_of(&erasing->chunk[erasing->at].id);
	erase.partition = erasing->chunk[erasing->at].partition;
	erase.closing = &closing;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_ERASE_SESSION;
	request.erase_session = &erase;
	(void)snprintf(name, sizeof name, "publisher-%u",
	               erase.partition % erasing->router->deps.publishers);
	erasing->is_asking = true;
	bus_request(erasing->router->deps.bus, name, wire_pack(&buf, &request.base), ASK_MS,
	            on_reply, erasing);
	buf_free(&buf);
}

static bool take_session(void *ctx, const Events__SessionRow *row)
{
	struct erasing *erasing = ctx;
	struct uuid id;

	MUST(wire_id(row->id, &id)); /* we wrote it */
	erasing->chunk[erasing->n].id = id;
	erasing->chunk[erasing->n].is_open = !row->has_close_code;
	erasing->chunk[erasing->n++].partition = row->partition;
	if (!row->has_close_code)
		reconcile_tell_end(erasing->router->reconcile, &erasing->account, &id, CLOSE_CODE,
		                   SAID_DEVICE);
	return erasing->n < CHUNK;
}

/* ---- the journal's records, some a turn ---- */

static bool names_device(void *ctx, struct bytes bytes)
{
	const struct erasing *erasing = ctx;
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&events__router_event__descriptor, bytes);
	const Events__RouterEvent *event = (const Events__RouterEvent *)message;
	const char *device_id = NULL;

	if (!event)
		return false;
	if (event->event_case == EVENTS__ROUTER_EVENT__EVENT_SESSION_OPENED)
		device_id = event->session_opened->session->device_id;
	else if (event->event_case == EVENTS__ROUTER_EVENT__EVENT_SESSION_RESUMED)
		device_id = event->session_resumed->session->device_id;
	else if (event->event_case == EVENTS__ROUTER_EVENT__EVENT_ERASING)
		device_id = event->erasing->device_id; /* of this removal, and of earlier ones */
	else if (event->event_case == EVENTS__ROUTER_EVENT__EVENT_ERASED)
		device_id = event->erased->device_id;
	return device_id && strcmp(device_id, erasing->device_id) == 0;
}

static void redact(struct erasing *erasing)
{
	struct router *router = erasing->router;
	AUTO(batch_free) struct store_batch *batch = batch_new();
	uint64_t looked_at = erasing->looked_at;
	enum err err =
	        audit_redact(router->deps.store, router->journal, &erasing->account, &looked_at,
	                     batch, erasing->device_id ? names_device : NULL, erasing);

	erasing->is_redacted = err == ERR_NOT_FOUND;
	if (err == OK)
		err = store_write(router->deps.store, batch);
	if (err != OK && err != ERR_NOT_FOUND) {
		again(erasing);
		return;
	}
	erasing->looked_at = looked_at;
	timer_set(router->deps.loop, &erasing->timer, 0, on_time, erasing);
}

/* The next sessions, then the journal, then the end. */
static void next(struct erasing *erasing)
{
	const struct view_sessions which = { .account = &erasing->account,
		                             .device_id = erasing->device_id,
		                             .from_ms = INT64_MIN,
		                             .to_ms = INT64_MAX };
	struct uuid unused;

	if (erasing->is_asking)
		return;
	erasing->n = erasing->at = 0;
	if (view_each_session(erasing->router->deps.store, &which, take_session, erasing,
	                      &unused) != OK)
		again(erasing);
	else if (erasing->n == 0 && !erasing->is_redacted)
		redact(erasing);
	else
		ask(erasing);
	erasing->is_redacted = erasing->is_redacted && erasing->n == 0; /* one came in between */
}

/* ---- the beginning ---- */

static struct erasing *begin(struct router *router, const struct uuid *account,
                             const char *device_id, struct bytes id)
{
	struct erasing *erasing = xcalloc(1, sizeof *erasing);

	erasing->router = router;
	erasing->account = *account;
	erasing->device_id = device_id ? xstrdup(device_id) : NULL;
	MUST(id.len <= sizeof erasing->id);
	memcpy(erasing->id, id.data, id.len);
	erasing->id_len = id.len;
	list_append(&router->erasings->all, &erasing->link);
	timer_set(router->deps.loop, &erasing->timer, 0, on_time, erasing);
	return erasing;
}

static void join(struct erasing *erasing, struct bus_call *call, Router__RouterRequest *request)
{
	if (erasing->n_waiting == CALLS_MOST) {
		bus_drop(erasing->waiting[0].call);
		free_waiting(&erasing->waiting[0]);
		memmove(erasing->waiting, erasing->waiting + 1,
		        --erasing->n_waiting * sizeof *erasing->waiting);
	}
	erasing->waiting[erasing->n_waiting++] = (struct waiting){ call, request };
}

static const char *device_in(const Router__RouterRequest *request)
{
	return request->command_case == ROUTER__ROUTER_REQUEST__COMMAND_DELETE_DEVICE
	               ? request->delete_device->id
	               : NULL;
}

static void run_begin(struct router *router, struct command *command)
{
	const char *device_id = device_in(command->request);
	struct erasing *erasing = find(router, &command->account, device_id);
	Events__RouterEvent event = command_event(command);
	Events__Erasing began = EVENTS__ERASING__INIT;
	struct uuid last, id;
	enum err err = OK;

	if (erasing) {
		join(erasing, command->call, TAKE(command->request));
		command_finish(command);
		return;
	}
	if (answered_before(router, command)) {
		command_finish(command);
		return;
	}
	if (device_id)
		err = strlen(device_id) <= DEVICE_ID_MAX
		              ? view_last_session(router->deps.store, &command->account, device_id,
		                                  &last)
		              : ERR_NOT_FOUND;
	if (err != OK) {
		if (err == ERR_NOT_FOUND)
			answer_error(router, command->call, 404, 0, "no such device");
		else
			answer_failure(router, command->call, err);
		command_finish(command);
		return;
	}
	id = uuid_new(clock_wall_ms());
	began.device_id = (char *)device_id;
	began.has_id = 1;
	began.id = wire_bytes_of(&id);
	event.event_case = EVENTS__ROUTER_EVENT__EVENT_ERASING;
	event.erasing = &began;
	command_append(command, &event);
}

static void done_begin(struct router *router, struct command *command, enum err err)
{
	const char *device_id = device_in(command->request);
	ProtobufCBinaryData id;

	if (err == OK) {
		id = command->event->erasing->id;
		join(begin(router, &command->account, device_id, BYTES(id.data, id.len)),
		     command->call, TAKE(command->request));
	} else {
		answer_failure(router, command->call, err);
	}
}

static const struct command_ops begin_ops = { run_begin, done_begin };

static void start(struct router *router, const struct uuid *account, const struct uuid *by,
                  struct bus_call *call, Router__RouterRequest *request)
{
	struct command *command = command_new(&begin_ops, call, request);

	command->account = *account;
	command->by = *by;
	command_start(router, command, gate_of(account, device_in(request)));
}

void on_delete_device(struct router *router, const struct asker *asker, struct bus_call *call,
                      Router__RouterRequest *request)
{
	if (!asker->device_id) {
		start(router, &asker->account, &asker->key, call, request);
		return;
	}
	answer_error(router, call, 403, 0, "the API key is bound to a device");
	wire_free(&request->base);
}

void on_erase_account(struct router *router, const struct asker *asker, struct bus_call *call,
                      Router__RouterRequest *request)
{
	static const struct uuid nobody;
	struct uuid account;

	(void)asker;
	if (wire_id(request->erase_account->account, &account)) {
		start(router, &account, &nobody, call, request);
		return;
	}
	answer_error(router, call, 400, 0, "account: expected 16 bytes");
	wire_free(&request->base);
}

/* ---- life ---- */

static void go_on(void *ctx, const struct view_going *going)
{
	(void)begin(ctx, &going->account, going->device_id[0] ? going->device_id : NULL,
	            BYTES(going->id, going->id_len));
}

struct erasings *erasings_new(struct router *router)
{
	struct erasings *erasings = router->erasings = xcalloc(1, sizeof *erasings);

	list_init(&erasings->all);
	if (view_each_erasing(router->deps.store, go_on, router) == OK)
		return erasings;
	erasings_free(erasings);
	return router->erasings = NULL;
}

void erasings_free(struct erasings *erasings)
{
	struct list *link;

	if (!erasings)
		return;
	while ((link = list_first(&erasings->all)) != NULL) {
		struct erasing *erasing = LIST_OWNER(link, struct erasing, link);

		for (size_t i = 0; i < erasing->n_waiting; i++)
			bus_drop(erasing->waiting[i].call);
		free_erasing(erasing);
	}
	mem_free(erasings);
}
