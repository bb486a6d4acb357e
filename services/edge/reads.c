#include "services/edge/reads.h"

#include "auth.pb-c.h"
#include "common/clock.h"
#include "common/list.h"
#include "common/log.h"
#include "common/map.h"
#include "common/wire.h"

#include <sodium.h>
#include <string.h>

#define ANSWER_MS    4000
#define RETRY_MS     1000
#define FLUSH_MS     500
#define READS_A_TELL 256 /* in one report */
#define RESOURCE_MAX 200

struct read {
	struct map_node node;
	struct list link; /* in reads->all, oldest first */
	uint8_t name[16]; /* of key, resource and minute */
	Auth__Read *message;
};

struct reads {
	struct reads_deps deps;
	struct map by_name;
	struct list all;
	struct timer tick, flush;
	struct buf report; /* under way; empty: none */
	bool in_air;
	uint64_t number, lost;
	loop_fn *flushed;
	void *flushed_ctx;
};

static void name_of(const Raeh__Principal *principal, const char *resource, int64_t minute_ms,
                    uint8_t ret[16])
{
	crypto_generichash_state state;

	(void)crypto_generichash_init(&state, NULL, 0, 16);
	(void)crypto_generichash_update(&state, principal->key.data, principal->key.len);
	(void)crypto_generichash_update(&state, (const uint8_t *)&minute_ms, sizeof minute_ms);
	(void)crypto_generichash_update(&state, (const uint8_t *)resource, strlen(resource));
	(void)crypto_generichash_final(&state, ret, 16);
}

static char *cut(const char *text)
{
	size_t len = strnlen(text, RESOURCE_MAX + 1);
	char *ret;

	if (len > RESOURCE_MAX)
		for (len = RESOURCE_MAX; len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80;)
			len--;
	ret = xmemdup(text, len + 1);
	ret[len] = '\0';
	return ret;
}

static ProtobufCBinaryData copy_of(ProtobufCBinaryData data)
{
	return (ProtobufCBinaryData){ data.len, xmemdup(data.data, data.len) };
}

static Auth__Read *message_of(const Raeh__Principal *principal, const char *resource,
                              int64_t minute_ms, const struct origin *origin)
{
	Auth__Read *message = xcalloc(1, sizeof *message);
	Raeh__Origin from;

	auth__read__init(message);
	message->account = copy_of(principal->account);
	message->key = copy_of(principal->key);
	message->resource = cut(resource);
	message->minute_ms = minute_ms;
	if (origin) {
		from = origin_message(origin);
		message->origin = (Raeh__Origin *)wire_copy(&from.base);
	}
	return message;
}

static void forget(struct reads *reads, struct read *read)
{
	map_remove(&reads->by_name, &read->node);
	list_remove(&read->link);
	wire_free(&read->message->base);
	mem_free(read);
}

static void refuse(struct reads *reads)
{
	if (reads->lost++ == 0)
		log_warn("reads-not-noted", "slot=%u most=%d", reads->deps.slot, READS_MOST);
}

static struct read *find(struct reads *reads, const Raeh__Principal *principal,
                         const char *resource, int64_t minute_ms, uint8_t ret_name[16])
{
	name_of(principal, resource, minute_ms, ret_name);
	return MAP_OWNER(map_find(&reads->by_name, ret_name), struct read, node);
}

void reads_note(struct reads *reads, const Raeh__Principal *principal, const char *resource,
                const char *kind, const struct origin *origin)
{
	int64_t now_ms = clock_wall_ms(), minute_ms = now_ms - now_ms % READS_MINUTE_MS;
	struct read *read;
	uint8_t name[16];

	read = find(reads, principal, resource, minute_ms, name);
	if (!read && reads->by_name.count >= READS_MOST)
		read = find(reads, principal, resource = kind, minute_ms, name);
	if (!read && reads->by_name.count >= 2 * READS_MOST) {
		refuse(reads);
		return;
	}
	if (!read) {
		read = xcalloc(1, sizeof *read);
		memcpy(read->name, name, sizeof name);
		read->message = message_of(principal, resource, minute_ms, origin);
		map_add(&reads->by_name, &read->node, read->name);
		list_append(&reads->all, &read->link);
	}
	read->message->count++;
}

uint64_t reads_lost(const struct reads *reads)
{
	return reads->lost;
}

/* ---- to auth ---- */

/* Of a minute that is over, or before the edge goes. */
static bool is_due(const struct reads *reads, const struct read *read)
{
	int64_t now_ms = clock_wall_ms();

	return reads->flushed || read->message->minute_ms + READS_MINUTE_MS <= now_ms ||
	       read->message->minute_ms > now_ms; /* the clock was set back */
}

/* The oldest become the report, and are forgotten here: it is sent until it is taken. */
static void make_report(struct reads *reads)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__AuditReads told = AUTH__AUDIT_READS__INIT;
	struct read *read[READS_A_TELL] = { NULL };
	Auth__Read *messages[READS_A_TELL];

	LIST_EACH(one, &reads->all)
	{
		struct read *oldest = LIST_OWNER(one, struct read, link);

		if (told.n_reads == READS_A_TELL)
			break;
		if (!is_due(reads, oldest))
			continue;
		read[told.n_reads] = oldest;
		messages[told.n_reads++] = oldest->message;
	}
	if (told.n_reads == 0)
		return;
	told.reads = messages;
	told.slot = reads->deps.slot;
	told.incarnation = wire_bytes_of(&reads->deps.incarnation);
	told.number = ++reads->number;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_AUDIT_READS;
	request.audit_reads = &told;
	(void)wire_pack(&reads->report, &request.base);
	for (size_t i = 0; i < told.n_reads; i++)
		forget(reads, read[i]);
}

static void tell(void *ctx);

static void flushed(void *ctx)
{
	struct reads *reads = ctx;
	loop_fn *fn = reads->flushed;

	timer_stop(reads->deps.loop, &reads->flush);
	reads->flushed = NULL;
	if (fn)
		fn(reads->flushed_ctx);
}

static bool is_taken(enum err err, struct bytes data)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;

	if (err == OK)
		message = wire_unpack(&auth__auth_reply__descriptor, data);
	return message && !((const Auth__AuthReply *)message)->error;
}

static void tell_at_minute(struct reads *reads)
{
	int64_t left = READS_MINUTE_MS - clock_wall_ms() % READS_MINUTE_MS;

	timer_set(reads->deps.loop, &reads->tick, left, tell, reads);
}

static void on_told(void *ctx, enum err err, struct bytes data)
{
	struct reads *reads = ctx;

	reads->in_air = false;
	if (!is_taken(err, data)) {
		timer_set(reads->deps.loop, &reads->tick, RETRY_MS, tell, reads);
		return;
	}
	buf_free(&reads->report);
	tell(reads);
}

static void tell(void *ctx)
{
	struct reads *reads = ctx;

	if (reads->in_air)
		return;
	if (reads->report.len == 0)
		make_report(reads);
	if (reads->report.len == 0) {
		tell_at_minute(reads);
		flushed(reads);
		return;
	}
	reads->in_air = true;
	bus_request(reads->deps.bus, "auth", BYTES(reads->report.data, reads->report.len),
	            ANSWER_MS, on_told, reads);
}

void reads_flush(struct reads *reads, loop_fn *fn, void *ctx)
{
	reads->flushed = fn;
	reads->flushed_ctx = ctx;
	timer_set(reads->deps.loop, &reads->flush, FLUSH_MS, flushed, reads);
	timer_set(reads->deps.loop, &reads->tick, 0, tell, reads);
}

/* ---- life ---- */

struct reads *reads_new(const struct reads_deps *deps)
{
	struct reads *reads = xcalloc(1, sizeof *reads);

	reads->deps = *deps;
	map_init(&reads->by_name, sizeof((struct read *)0)->name);
	list_init(&reads->all);
	tell_at_minute(reads);
	return reads;
}

void reads_free(struct reads *reads)
{
	struct list *link;

	if (!reads)
		return;
	timer_stop(reads->deps.loop, &reads->tick);
	timer_stop(reads->deps.loop, &reads->flush);
	while ((link = list_first(&reads->all)) != NULL)
		forget(reads, LIST_OWNER(link, struct read, link));
	map_done(&reads->by_name);
	buf_free(&reads->report);
	mem_free(reads);
}
