#include "common/once.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/map.h"
#include "common/once_rows.h"
#include "common/wire.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#define EXPIRE_MS    10000
#define APPEND_TRIES 100

enum stage { BEGINNING, RUNNING, KEEPING, DONE };

/* One command. It is the call that the service answers. */
struct entry {
	struct bus_call base;
	TAILQ_ENTRY(entry) link; /* oldest first */
	struct map_node by_name;
	struct once *once;
	struct uuid account, name, body;
	uint8_t op[16]; /* digest of the op_id */
	enum stage stage;
	bool dropped; /* by the service: who waits asks again */
	unsigned tries;
	int64_t since_ms; /* boot */
	struct bus_call *waiter[ONCE_WAITERS];
	size_t n_waiter;
	struct buf request, reply;
	char made_id[UUID_TEXT];
	bool secret, refused;
};

struct once {
	struct once_deps deps;
	struct map by_name;
	TAILQ_HEAD(, entry) entries;
	struct timer expire;
	bool stopped;
};

/* ---- entries ---- */

static void entry_free(struct entry *entry)
{
	struct once *once = entry->once;

	for (size_t i = 0; i < entry->n_waiter; i++)
		bus_drop(entry->waiter[i]);
	map_remove(&once->by_name, &entry->by_name);
	TAILQ_REMOVE(&once->entries, entry, link);
	if (entry->reply.data)
		sodium_memzero(entry->reply.data, entry->reply.cap);
	buf_free(&entry->reply);
	buf_free(&entry->request);
	mem_free(entry);
}

static void add_waiter(struct entry *entry, struct bus_call *call)
{
	if (entry->n_waiter == ONCE_WAITERS) {
		bus_drop(entry->waiter[0]);
		memmove(entry->waiter, entry->waiter + 1,
		        (ONCE_WAITERS - 1) * sizeof entry->waiter[0]);
		entry->n_waiter--;
	}
	entry->waiter[entry->n_waiter++] = call;
}

static void tell_waiters(struct entry *entry)
{
	while (entry->n_waiter > 0)
		bus_reply(entry->waiter[--entry->n_waiter],
		          BYTES(entry->reply.data, entry->reply.len));
}

/* ---- refusals ---- */

/* Every service's reply has the error at the same place; this is the shape of it. */
static struct bytes pack_error(const struct once *once, Raeh__Error *error, struct buf *buf)
{
	const ProtobufCFieldDescriptor *field =
	        protobuf_c_message_descriptor_get_field_by_name(once->deps.reply, "error");
	ProtobufCMessage *reply = xcalloc(1, once->deps.reply->sizeof_message);
	struct bytes packed;

	protobuf_c_message_init(once->deps.reply, reply);
	*(Raeh__Error **)((uint8_t *)reply + field->offset) = error;
	packed = wire_pack(buf, reply);
	mem_free(reply);
	return packed;
}

static void refuse(struct once *once, struct bus_call *call, uint32_t status, const char *detail,
                   const char *made_id)
{
	Raeh__Error error = RAEH__ERROR__INIT;
	struct buf buf = { 0 };

	error.status = status;
	error.detail = (char *)detail;
	error.made_id = made_id && *made_id ? (char *)made_id : NULL;
	error.has_retry_after_s = status == 503;
	error.retry_after_s = 1;
	bus_reply(call, pack_error(once, &error, &buf));
	buf_free(&buf);
}

static void refuse_made(struct once *once, struct bus_call *call, const char *made_id)
{
	char detail[160];

	if (made_id && *made_id)
		(void)snprintf(detail, sizeof detail,
		               "Idempotency-Key: has made %s already; an answer that held a secret "
		               "is not told again",
		               made_id);
	else
		(void)snprintf(detail, sizeof detail,
		               "Idempotency-Key: was used already; an answer that held a secret is "
		               "not told again");
	refuse(once, call, 409, detail, made_id);
}

/* ---- a command ---- */

/* The chosen result of the reply; NULL: it is an error, or nothing. */
static const ProtobufCMessage *result_of(const ProtobufCMessage *reply)
{
	const uint8_t *base = (const uint8_t *)reply;

	for (unsigned i = 0; i < reply->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &reply->descriptor->fields[i];

		if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
		    field->type == PROTOBUF_C_TYPE_MESSAGE &&
		    *(const uint32_t *)(base + field->quantifier_offset) == field->id)
			return *(const ProtobufCMessage *const *)(base + field->offset);
	}
	return NULL;
}

static const char *text_in(const ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field =
	        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);

	if (!field || field->type != PROTOBUF_C_TYPE_STRING ||
	    field->label == PROTOBUF_C_LABEL_REPEATED)
		return NULL;
	return *(const char *const *)((const uint8_t *)message + field->offset);
}

/* What may be kept of the answer. */
static void judge(struct entry *entry)
{
	static const char *const secrets[] = { "key", "token", "url_path", "csrf" };
	AUTO(wire_free)
	ProtobufCMessage *reply =
	        wire_unpack(entry->once->deps.reply, BYTES(entry->reply.data, entry->reply.len));
	const ProtobufCMessage *result = reply ? result_of(reply) : NULL;
	const char *id;

	entry->refused = !result;
	if (!result)
		return;
	entry->secret = entry->reply.len > ONCE_REPLY_MOST;
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
		entry->secret = entry->secret || text_in(result, secrets[i]);
	id = text_in(result, "id");
	if (id && strlen(id) < sizeof entry->made_id)
		(void)snprintf(entry->made_id, sizeof entry->made_id, "%s", id);
}

static void append(struct entry *entry);

/* Told; the entry stays for the bus's own repeats, unless nothing was done. */
static void conclude(struct entry *entry)
{
	if (entry->dropped) {
		entry_free(entry); /* who waits asks again */
		return;
	}
	tell_waiters(entry);
	entry->stage = DONE;
	entry->since_ms = clock_boot_ms();
	if (entry->refused)
		entry_free(entry);
}

static void on_appended(void *ctx, enum err err)
{
	struct entry *entry = ctx;
	struct once *once = entry->once;
	struct bytes request = BYTES(entry->request.data, entry->request.len);

	if (err == ERR_IO) { /* only a restart makes view and journal agree again */
		log_error("journal-broke", "why=\"%s\"", store_why(once->deps.store));
		_exit(EXIT_FAILURE);
	}
	if (err == ERR_CONFLICT && entry->tries++ < APPEND_TRIES) {
		append(entry);
	} else if (entry->stage == KEEPING) {
		conclude(entry); /* not kept when the disk is full: a repeat is told 409 */
	} else if (err != OK) {
		while (entry->n_waiter > 0)
			refuse(once, entry->waiter[--entry->n_waiter], 503,
			       "the service cannot take this command now: try again", NULL);
		entry_free(entry);
	} else {
		entry->stage = RUNNING;
		once->deps.run(once->deps.service, &entry->base, request);
	}
}

static void append(struct entry *entry)
{
	struct once *once = entry->once;
	Raeh__Kept kept = RAEH__KEPT__INIT;

	kept.account = wire_bytes_of(&entry->account);
	kept.name = wire_bytes_of(&entry->name);
	kept.body = wire_bytes_of(&entry->body);
	if (entry->stage == BEGINNING) {
		kept.state = RAEH__KEPT__STATE__BEGUN;
	} else if (entry->dropped || entry->refused) {
		kept.state = RAEH__KEPT__STATE__FORGOTTEN;
	} else {
		kept.state = RAEH__KEPT__STATE__DONE;
		kept.has_reply = !entry->secret;
		kept.reply = wire_bytes(BYTES(entry->reply.data, entry->reply.len));
		kept.made_id = entry->made_id[0] ? entry->made_id : NULL;
	}
	once->deps.append(once->deps.service, &kept, on_appended, entry);
}

static void on_answered(struct bus_call *call, struct bytes reply)
{
	struct entry *entry = (struct entry *)call;

	MUST(entry->stage == RUNNING);
	if (entry->once->stopped)
		return;
	entry->stage = KEEPING;
	buf_append(&entry->reply, reply.data, reply.len);
	judge(entry);
	append(entry);
}

static void on_dropped(struct bus_call *call)
{
	struct entry *entry = (struct entry *)call;

	MUST(entry->stage == RUNNING);
	if (entry->once->stopped)
		return;
	entry->stage = KEEPING;
	entry->dropped = true;
	append(entry);
}

static const struct bus_ops call_ops = { .reply = on_answered, .drop = on_dropped };

static void begin(struct once *once, struct bus_call *call, struct bytes request,
                  const struct entry *like)
{
	struct entry *entry;

	if (once->by_name.count >= ONCE_MOST) {
		refuse(once, call, 503, "too many commands with an Idempotency-Key: try again",
		       NULL);
		return;
	}
	entry = xcalloc(1, sizeof *entry);
	*entry = *like;
	entry->base.ops = &call_ops;
	entry->once = once;
	buf_append(&entry->request, request.data, request.len);
	map_add(&once->by_name, &entry->by_name, &entry->name);
	TAILQ_INSERT_TAIL(&once->entries, entry, link);
	add_waiter(entry, call);
	append(entry);
}

/* ---- repeats ---- */

static void answer_repeat(struct once *once, struct bus_call *call, struct bytes request,
                          const Raeh__KeptRow *row, const struct entry *like)
{
	const Raeh__Kept *kept = row->kept;
	struct uuid body;

	if (!wire_id(kept->body, &body) || !uuid_equal(&body, &like->body))
		refuse(once, call, 422, "Idempotency-Key: was used with another body", NULL);
	else if (kept->has_reply)
		bus_reply(call, BYTES(kept->reply.data, kept->reply.len));
	else if (kept->state == RAEH__KEPT__STATE__DONE)
		refuse_made(once, call, kept->made_id);
	else if (once->deps.repeatable)
		begin(once, call, request, like);
	else
		refuse(once, call, 409,
		       "Idempotency-Key: the first request was cut off before its answer was "
		       "known: see what it did, then ask with another one",
		       NULL);
}

/* False: its row says more. */
static bool answer_from_memory(struct once *once, struct bus_call *call, struct entry *entry,
                               const struct entry *like)
{
	if (!uuid_equal(&entry->body, &like->body))
		refuse(once, call, 422, "Idempotency-Key: was used with another body", NULL);
	else if (entry->stage != DONE)
		add_waiter(entry, call);
	else if (memcmp(entry->op, like->op, sizeof entry->op) == 0)
		bus_reply(call, BYTES(entry->reply.data, entry->reply.len));
	else
		return false;
	return true;
}

static struct uuid digest_of(struct bytes a, struct bytes b)
{
	crypto_generichash_state state;
	struct uuid ret;

	(void)crypto_generichash_init(&state, NULL, 0, sizeof ret);
	(void)crypto_generichash_update(&state, a.data, a.len);
	(void)crypto_generichash_update(&state, b.data, b.len);
	(void)crypto_generichash_final(&state, ret.byte, sizeof ret);
	return ret;
}

void once_call(struct once *once, struct bus_call *call, struct bytes request,
               const struct once_asker *asker, const Raeh__Once *named, struct bytes op_id)
{
	struct entry like = { .account = asker->account }, *entry;
	const struct bytes name = BYTES(named->name.data, named->name.len);
	const struct uuid op = digest_of(op_id, BYTES("", 0));
	Raeh__KeptRow *row = NULL;
	enum err err;

	if (name.len == 0 || !wire_id(named->body, &like.body)) {
		refuse(once, call, 400, "once: expected a name and 16 bytes", NULL);
		return;
	}
	like.name = digest_of(BYTES(asker->key.byte, sizeof asker->key.byte), name);
	memcpy(like.op, op.byte, sizeof like.op);
	entry = MAP_OWNER(map_find(&once->by_name, &like.name), struct entry, by_name);
	if (entry && answer_from_memory(once, call, entry, &like))
		return;
	err = once_find(once->deps.store, &like.account, &like.name, &row);
	if (err == OK) {
		answer_repeat(once, call, request, row, &like);
		wire_free(&row->base);
	} else if (err == ERR_NOT_FOUND && !entry) {
		begin(once, call, request, &like);
	} else {
		refuse(once, call, 503, "the service cannot take this command now: try again",
		       NULL);
	}
}

/* ---- time ---- */

static void on_expire(void *ctx)
{
	struct once *once = ctx;
	struct entry *entry, *next;

	for (entry = TAILQ_FIRST(&once->entries); entry; entry = next) {
		next = TAILQ_NEXT(entry, link);
		if (entry->stage == DONE && clock_boot_ms() - entry->since_ms >= ONCE_ECHO_MS)
			entry_free(entry);
	}
	once_expire(once->deps.store);
	timer_set(once->deps.loop, &once->expire, EXPIRE_MS, on_expire, once);
}

/* ---- life ---- */

struct once *once_new(const struct once_deps *deps)
{
	struct once *once = xcalloc(1, sizeof *once);

	once->deps = *deps;
	map_init(&once->by_name, sizeof(struct uuid));
	TAILQ_INIT(&once->entries);
	timer_set(deps->loop, &once->expire, EXPIRE_MS, on_expire, once);
	return once;
}

void once_stop(struct once *once)
{
	if (!once)
		return;
	once->stopped = true;
	timer_stop(once->deps.loop, &once->expire);
}

void once_free(struct once *once)
{
	struct entry *entry;

	if (!once)
		return;
	while ((entry = TAILQ_FIRST(&once->entries)))
		entry_free(entry);
	map_done(&once->by_name);
	mem_free(once);
}
