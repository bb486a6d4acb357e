#include "services/publisher/retention.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/wire.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TURN_MS       20 /* between two slices */
#define TABLE_END     0x7f
#define GIVE_BACK_MS  3600000 /* merging all that is stored has its price */
#define PAUSE_LEAST   1000
#define PAUSE_MOST    600000
#define PAUSE_SHARE   20 /* of the shortest retention */
#define O_ROWS        1000
#define INSIGHTS_MOST 500 /* of a session in one turn; its next ones in the next sweep */

static int64_t pause_ms(const struct retention *retention)
{
	int64_t least = retention->frames_ms ? retention->frames_ms : retention->insights_ms;

	if (retention->insights_ms && retention->insights_ms < least)
		least = retention->insights_ms;
	least /= PAUSE_SHARE;
	return least < PAUSE_LEAST ? PAUSE_LEAST : least > PAUSE_MOST ? PAUSE_MOST : least;
}

static void write_deletions(struct retention *retention, struct store_batch *batch)
{
	enum err err;

	if (batch_bytes(batch) == 0)
		return;
	err = store_write(retention->store, batch);
	if (err == ERR_IO) { /* it takes no more; the next process finds what was taken */
		log_error("write-failed", "why=\"%s\"", store_why(retention->store));
		_exit(EXIT_FAILURE);
	}
	if (err != OK)
		log_warn("retention-waits", "why=\"%s\"", store_why(retention->store));
	retention->has_deleted = true;
}

/* ---- marks ---- */

void retention_mark(struct session *session, struct store_batch *batch)
{
	int64_t now = clock_wall_ms();
	uint64_t value = (uint64_t)now;
	uint8_t bytes[8];
	struct key key;

	if (session->mark_ms != 0 && now - session->mark_ms < RETENTION_MARK_MS)
		return;
	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(value >> (8 * (7 - i)));
	session_key(&key, &session->name, 'a');
	key_add_u64(&key, session->next);
	batch_put(batch, key_bytes(&key), BYTES(bytes, sizeof bytes));
	session->mark_ms = now;
}

/* The number below which all frames came before the time; 0: not known. */
static uint64_t marked_before(struct retention *retention, const struct session_name *name,
                              int64_t before_ms)
{
	struct bytes key, value;
	struct store_scan *scan;
	struct key from, to;
	uint64_t number = 0;

	session_key(&from, name, 'a');
	key_end_of(&from, &to);
	scan = scan_open(retention->store, key_bytes(&from), key_bytes(&to), false);
	while (scan_next(scan, &key, &value) && value.len == 8 &&
	       (int64_t)key_read_u64(value.data) <= before_ms)
		number = key_read_u64((const uint8_t *)key.data + key.len - 8);
	scan_close(scan);
	return number;
}

/* ---- frames ---- */

static void delete_below(struct store_batch *batch, const struct session_name *name, char table,
                         uint64_t number)
{
	struct key from, to;

	session_key(&from, name, table);
	to = from;
	key_add_u64(&to, number);
	batch_delete_range(batch, key_bytes(&from), key_bytes(&to));
}

/* The number of the session's first frame; UINT64_MAX: it has none. */
static uint64_t first_frame(struct retention *retention, const struct session_name *name)
{
	struct bytes key, value;
	struct store_scan *scan;
	struct key from, to;
	uint64_t number = UINT64_MAX;

	session_key(&from, name, 'f');
	key_end_of(&from, &to);
	scan = scan_open(retention->store, key_bytes(&from), key_bytes(&to), false);
	if (scan_next(scan, &key, &value))
		number = key_read_u64((const uint8_t *)key.data + key.len - 8);
	scan_close(scan);
	return number;
}

static void sweep_frames(struct retention *retention, const struct session_name *name,
                         const Events__StoredSession *stored, struct store_batch *batch)
{
	int64_t before_ms = clock_wall_ms() - retention->frames_ms;
	uint64_t first, below = 0;

	if (retention->frames_ms == 0 || stored->erased)
		return;
	if (stored->closing)
		below = stored->closing->ended_at <= before_ms ? UINT64_MAX : 0;
	else if (stored->next > RETENTION_KEEP)
		below = marked_before(retention, name, before_ms);
	if (below != UINT64_MAX && below + RETENTION_KEEP > stored->next)
		below = stored->next > RETENTION_KEEP ? stored->next - RETENTION_KEEP : 0;
	first = below > 0 ? first_frame(retention, name) : UINT64_MAX;
	if (first >= below)
		return;
	delete_below(batch, name, 'f', below);
	delete_below(batch, name, 'a', below);
	retention->metrics->frames_expired_total +=
	        (below < stored->next ? below : stored->next) - first;
}

/* ---- insights ---- */

static void sweep_session_insights(struct retention *retention, const struct session_name *name,
                                   const Events__StoredSession *stored, struct store_batch *batch)
{
	int64_t before_ms = clock_wall_ms() - retention->insights_ms;
	struct bytes key, value;
	struct store_scan *scan;
	struct key from, to;
	uint64_t below = 0;
	size_t n = 0;

	if (retention->insights_ms == 0 || stored->erased)
		return;
	session_key(&from, name, 'x');
	key_end_of(&from, &to);
	scan = scan_open(retention->store, key_bytes(&from), key_bytes(&to), false);
	while (n < INSIGHTS_MOST && scan_next(scan, &key, &value) && value.len >= OUTBOX_X_HEAD &&
	       (int64_t)key_read_u64((const uint8_t *)value.data + 1) < before_ms) {
		below = key_read_u64((const uint8_t *)key.data + key.len - 8) + 1;
		n++;
	}
	scan_close(scan);
	if (n == 0)
		return;
	delete_below(batch, name, 'x', below);
	retention->metrics->insights_expired_total += n;
	if (!stored->closing || n == INSIGHTS_MOST)
		return;
	session_key(&from, name, 't'); /* a closed session emits nothing twice: nothing at all */
	key_end_of(&from, &to);
	batch_delete_range(batch, key_bytes(&from), key_bytes(&to));
}

static bool has_rows(struct store *store, const struct key *from, const struct key *to)
{
	struct store_scan *scan = scan_open(store, key_bytes(from), key_bytes(to), false);
	struct bytes key, value;
	bool has = scan_next(scan, &key, &value);

	scan_close(scan);
	return has;
}

/* The list of an account, made by this process. */
static void sweep_account(struct retention *retention, const struct uuid *account)
{
	AUTO(batch_free) struct store_batch *batch = NULL;
	int64_t before_ms = clock_wall_ms() - retention->insights_ms;
	struct uuid least;

	if (retention->insights_ms == 0 || before_ms <= 0)
		return;
	batch = batch_new();
	least = uuid_numbered(before_ms, 0);
	for (size_t type = 0; type < INSIGHT_TYPES; type++) {
		struct key from, to;

		outbox_i_key(&from, account, (enum insight_type)type);
		to = from;
		key_add_uuid(&to, &least);
		if (has_rows(retention->store, &from, &to))
			batch_delete_range(batch, key_bytes(&from), key_bytes(&to));
	}
	write_deletions(retention, batch);
}

static void sweep_numbers(struct retention *retention)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();

	if (retention->insights_ms == 0)
		return;
	outbox_trim_before(retention->outbox, batch, clock_wall_ms() - retention->insights_ms,
	                   O_ROWS);
	write_deletions(retention, batch);
}

/* ---- the sweep ---- */

static void sweep_session(struct retention *retention, const struct session_name *name,
                          struct bytes row)
{
	AUTO(wire_free)
	ProtobufCMessage *message = wire_unpack(&events__stored_session__descriptor, row);
	AUTO(batch_free) struct store_batch *batch = NULL;

	if (!message)
		return; /* it says so when it is asked for */
	batch = batch_new();
	sweep_frames(retention, name, (const Events__StoredSession *)message, batch);
	sweep_session_insights(retention, name, (const Events__StoredSession *)message, batch);
	write_deletions(retention, batch);
}

static void begin_partition(struct retention *retention)
{
	static const struct uuid first;

	key_start(&retention->cursor, (uint16_t)retention->partition, &first, 's');
}

/* The place behind a row: the next session, or the sessions of the next account. */
static void step_over(struct retention *retention, struct bytes key, struct bytes value)
{
	char table = ((const char *)key.data)[18];
	struct session_name name = { .partition = (uint16_t)retention->partition };
	struct key next;

	MUST(key_account(key, &name.account));
	if (table != 's') {
		key_start(&retention->cursor, name.partition, &name.account,
		          table < 's' ? 's' : TABLE_END);
		return;
	}
	memcpy(&name.id, (const uint8_t *)key.data + key.len - sizeof name.id, sizeof name.id);
	if (!uuid_equal(&name.account, &retention->account)) {
		retention->account = name.account;
		sweep_account(retention, &name.account);
	}
	session_key(&next, &name, 's');
	key_end_of(&next, &retention->cursor);
	sweep_session(retention, &name, value);
}

/* False: the partition has no row behind the cursor. */
static bool step(struct retention *retention)
{
	static const struct uuid first;
	struct bytes key, value;
	struct store_scan *scan;
	struct key end;
	bool found;

	key_start(&end, (uint16_t)(retention->partition + 1), &first, 0);
	scan = scan_open(retention->store, key_bytes(&retention->cursor), key_bytes(&end), false);
	found = scan_next(scan, &key, &value);
	if (found)
		step_over(retention, key, value);
	scan_close(scan);
	return found;
}

static void give_back(struct retention *retention)
{
	static const struct uuid first;
	struct key from, to;
	int64_t now = clock_boot_ms();

	if (!retention->has_deleted ||
	    (retention->given_back_ms != 0 && now - retention->given_back_ms < GIVE_BACK_MS))
		return;
	retention->has_deleted = false;
	retention->given_back_ms = now;
	key_start(&from, 0, &first, 0);
	key_start(&to, PARTITION_OWN + 1, &first, 0);
	store_give_back(retention->store, key_bytes(&from), key_bytes(&to));
}

static void on_turn(void *self)
{
	struct retention *retention = self;

	for (int i = 0; i < RETENTION_SLICE; i++) {
		if (step(retention))
			continue;
		retention->partition += retention->publishers;
		if (retention->partition >= PARTITIONS) {
			retention->partition = retention->number;
			begin_partition(retention);
			memset(&retention->account, 0, sizeof retention->account);
			sweep_numbers(retention);
			give_back(retention);
			retention->metrics->retention_sweeps_total++;
			timer_set(retention->loop, &retention->timer, pause_ms(retention), on_turn,
			          retention);
			return;
		}
		begin_partition(retention);
	}
	timer_set(retention->loop, &retention->timer, TURN_MS, on_turn, retention);
}

void retention_start(struct retention *retention)
{
	if (retention->frames_ms == 0 && retention->insights_ms == 0)
		return;
	retention->partition = retention->number;
	begin_partition(retention);
	timer_set(retention->loop, &retention->timer, PAUSE_LEAST, on_turn, retention);
}

void retention_stop(struct retention *retention)
{
	timer_stop(retention->loop, &retention->timer);
}
