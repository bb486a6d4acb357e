#include "services/publisher/outbox.h"

#include "common/clock.h"
#include "common/wire.h"
#include "services/publisher/publisher_raw.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_BITS 56 /* of an id's low 62; the partition is above */

static void o_key(struct key *key, uint64_t number)
{
	key_start(key, PARTITION_OWN, NULL, 'O');
	key_add_u64(key, number);
}

static uint64_t number_in(struct bytes row)
{
	return key_read_u64((const uint8_t *)row.data + row.len - 8);
}

static int64_t made_ms(struct bytes row)
{
	ProtobufCMessage *message = wire_unpack(&publisher__numbered_insight__descriptor, row);
	int64_t ts = message ? ((Publisher__NumberedInsight *)message)->insight->ts : INT64_MIN;

	wire_free(message);
	return ts;
}

/* The first or the last number in the store, and when it was made; 0: there is none. */
static enum err find_number(struct store *store, bool last, uint64_t *ret, int64_t *ret_ms)
{
	struct key from, to;
	struct store_scan *scan;
	struct bytes row, value;
	enum err err;

	key_start(&from, PARTITION_OWN, NULL, 'O');
	key_end_of(&from, &to);
	scan = scan_open(store, key_bytes(&from), key_bytes(&to), last);
	*ret = 0;
	if (scan_next(scan, &row, &value)) {
		*ret = number_in(row);
		*ret_ms = made_ms(value);
	}
	err = scan_err(scan);
	scan_close(scan);
	return err;
}

enum err outbox_init(struct outbox *outbox, struct store *store)
{
	int64_t trimmed_ms;
	enum err err;

	*outbox = (struct outbox){ .store = store };
	err = find_number(store, true, &outbox->newest, &outbox->made_ms);
	if (err == OK)
		err = find_number(store, false, &outbox->trimmed, &trimmed_ms);
	outbox_settle(outbox, true);
	return err;
}

void outbox_done(struct outbox *outbox)
{
	buf_free(&outbox->row);
	buf_free(&outbox->packed);
	mem_free(outbox->fresh);
}

/* ---- the rows ---- */

uint64_t outbox_device_tag(const char *device_id)
{
	static const uint8_t key[crypto_shorthash_KEYBYTES] = "raeh device tag";
	uint8_t hash[crypto_shorthash_BYTES];

	(void)crypto_shorthash(hash, (const uint8_t *)device_id, strlen(device_id), key);
	return key_read_u64(hash);
}

void outbox_x_key(struct key *key, const struct session_name *name, uint64_t number)
{
	session_key(key, name, 'x');
	key_add_u64(key, number);
}

void outbox_i_key(struct key *key, const struct uuid *account, enum insight_type type)
{
	uint8_t byte = (uint8_t)type;

	key_start(key, PARTITION_OWN, account, 'i');
	key_add(key, &byte, 1);
}

uint64_t outbox_number(const struct uuid *id)
{
	return uuid_number(id) & ((UINT64_C(1) << NUMBER_BITS) - 1);
}

static void t_key(struct key *key, const struct session *session, enum insight_type type,
                  int64_t t_ms)
{
	uint8_t byte = (uint8_t)type;

	session_key(key, &session->name, 't');
	key_add(key, &byte, 1);
	key_add_u64(key, (uint64_t)t_ms);
}

static void put_x(struct outbox *outbox, struct store_batch *batch, const struct session *session,
                  enum insight_type type, int64_t ts, struct bytes packed)
{
	uint8_t byte = (uint8_t)type;
	struct key key, head = { .len = 0 };

	key_add(&head, &byte, 1);
	key_add_u64(&head, (uint64_t)ts);
	MUST(head.len == OUTBOX_X_HEAD);
	outbox->row.len = 0;
	buf_append(&outbox->row, head.data, head.len);
	buf_append(&outbox->row, packed.data, packed.len);
	outbox_x_key(&key, &session->name, outbox->newest);
	batch_put(batch, key_bytes(&key), BYTES(outbox->row.data, outbox->row.len));
}

static void put_i(struct store_batch *batch, const struct session *session, enum insight_type type,
                  const struct uuid *id)
{
	uint8_t partition[2] = { (uint8_t)(session->name.partition >> 8),
		                 (uint8_t)session->name.partition };
	struct key key, value = { .len = 0 };

	key_add(&value, partition, sizeof partition);
	key_add_uuid(&value, &session->name.id);
	key_add_u64(&value, outbox_device_tag(session->opening->device_id));
	MUST(value.len == OUTBOX_I_BYTES);
	outbox_i_key(&key, &session->name.account, type);
	key_add_uuid(&key, id);
	batch_put(batch, key_bytes(&key), key_bytes(&value));
}

static void put_o(struct outbox *outbox, struct store_batch *batch, const struct uuid *account,
                  struct bytes packed)
{
	struct key key;

	outbox->row.len = 0;
	raw_add_u64(&outbox->row, 1, outbox->newest); /* NumberedInsight */
	raw_add_bytes(&outbox->row, 2, BYTES(account, sizeof *account));
	raw_add_bytes(&outbox->row, 3, packed);
	o_key(&key, outbox->newest);
	batch_put(batch, key_bytes(&key), BYTES(outbox->row.data, outbox->row.len));
}

/* ---- adding ---- */

static bool is_out(struct outbox *outbox, const struct session *session, struct bytes key,
                   const struct analysis_insight *insight)
{
	struct buf row = { 0 };
	bool out;

	if (session->last_number[insight->type] == 0 ||
	    insight->t_ms > session->last_t_ms[insight->type])
		return false;
	if (insight->t_ms == session->last_t_ms[insight->type])
		return true;
	/* Only a session whose clock has stepped back comes here. */
	for (size_t i = 0; i < outbox->n_fresh; i++)
		if (outbox->fresh[i].session == session && outbox->fresh[i].type == insight->type &&
		    outbox->fresh[i].t_ms == insight->t_ms)
			return true;
	out = store_get(outbox->store, key, &row) == OK;
	buf_free(&row);
	return out;
}

static double rounded(double value, double steps)
{
	return round(value * steps) / steps;
}

static struct bytes pack(struct outbox *outbox, const struct session *session,
                         const struct analysis_insight *from, const struct uuid *id)
{
	Publisher__Insight insight = PUBLISHER__INSIGHT__INIT;
	char id_text[UUID_TEXT];

	uuid_text(id, id_text);
	insight.type = (char *)insight_type_name(from->type);
	insight.value = rounded(from->value, 10);
	insight.unit = (char *)insight_unit(from->type);
	insight.ts = uuid_ms(id);
	insight.session_id = (char *)session->text;
	insight.device_id = session->opening->device_id;
	insight.confidence = rounded(fmin(fmax(from->confidence, 0), 1), 1000);
	insight.sqi_class = (char *)insight_sqi_class(insight.confidence);
	insight.id = id_text;
	insight.t = from->t_ms;
	insight.has_uncalibrated = insight.uncalibrated = from->uncalibrated;
	return wire_pack(&outbox->packed, &insight.base);
}

static void remember_fresh(struct outbox *outbox, const struct session *session,
                           const struct analysis_insight *insight)
{
	if (outbox->n_fresh == outbox->cap_fresh) {
		outbox->cap_fresh = outbox->cap_fresh ? 2 * outbox->cap_fresh : 64;
		outbox->fresh = xrealloc(outbox->fresh, outbox->cap_fresh, sizeof *outbox->fresh);
	}
	outbox->fresh[outbox->n_fresh++] =
	        (struct outbox_fresh){ session, insight->type, insight->t_ms };
}

static int64_t next_ms(struct outbox *outbox)
{
	int64_t now = clock_wall_ms();

	if (now > outbox->made_ms || now < outbox->made_ms - OUTBOX_STEP_MS)
		outbox->made_ms = now;
	return outbox->made_ms;
}

int64_t outbox_promise(struct outbox *outbox)
{
	return next_ms(outbox) - 1;
}

bool outbox_add(struct outbox *outbox, struct store_batch *batch, struct session *session,
                const struct analysis_insight *insight)
{
	enum insight_type type = insight->type;
	struct bytes packed;
	struct uuid id;
	struct key key;

	t_key(&key, session, type, insight->t_ms);
	if (!isfinite(insight->value) || !isfinite(insight->confidence) ||
	    is_out(outbox, session, key_bytes(&key), insight))
		return false;
	outbox->newest++;
	id = uuid_numbered(next_ms(outbox),
	                   (uint64_t)session->name.partition << NUMBER_BITS | outbox->newest);
	packed = pack(outbox, session, insight, &id);
	batch_put(batch, key_bytes(&key), BYTES("", 0));
	put_x(outbox, batch, session, type, uuid_ms(&id), packed);
	put_i(batch, session, type, &id);
	put_o(outbox, batch, &session->name.account, packed);
	if (session->last_number[type] == 0 || insight->t_ms > session->last_t_ms[type])
		session->last_t_ms[type] = insight->t_ms;
	session->last_number[type] = outbox->newest;
	remember_fresh(outbox, session, insight);
	session->must_save = true;
	return true;
}

/* Numbers have no holes: edges would look for what is missing. */
static void blank_o(struct outbox *outbox, struct store_batch *batch, uint64_t number,
                    const Publisher__Insight *was)
{
	static const struct uuid nobody;
	Publisher__NumberedInsight numbered = PUBLISHER__NUMBERED_INSIGHT__INIT;
	Publisher__Insight insight = PUBLISHER__INSIGHT__INIT;
	struct buf row = { 0 };
	struct key key;

	if (number < outbox->trimmed)
		return;
	insight.type = insight.unit = insight.session_id = insight.device_id = insight.sqi_class =
	        (char *)"";
	insight.id = was->id;
	insight.ts = was->ts;
	numbered.number = number;
	numbered.account = wire_bytes_of(&nobody);
	numbered.insight = &insight;
	o_key(&key, number);
	batch_put(batch, key_bytes(&key), wire_pack(&row, &numbered.base));
	buf_free(&row);
}

void outbox_remove(struct outbox *outbox, struct store_batch *batch,
                   const struct session_name *name, uint64_t number, struct bytes x_row)
{
	const uint8_t *p = x_row.data;
	ProtobufCMessage *message = NULL;
	struct key key;
	struct uuid id;

	if (x_row.len >= OUTBOX_X_HEAD && p[0] < INSIGHT_TYPES)
		message = wire_unpack(&publisher__insight__descriptor,
		                      BYTES(p + OUTBOX_X_HEAD, x_row.len - OUTBOX_X_HEAD));
	if (message) {
		const Publisher__Insight *insight = (const Publisher__Insight *)message;

		if (uuid_parse(insight->id, &id)) {
			outbox_i_key(&key, &name->account, (enum insight_type)p[0]);
			key_add_uuid(&key, &id);
			batch_delete(batch, key_bytes(&key));
		}
		blank_o(outbox, batch, number, insight);
		wire_free(message);
	}
	outbox_x_key(&key, name, number);
	batch_delete(batch, key_bytes(&key));
}

void outbox_trim(struct outbox *outbox, struct store_batch *batch)
{
	struct key from, to;

	if (outbox->newest < outbox->trimmed + OUTBOX_KEPT + OUTBOX_TRIM_STEP)
		return;
	o_key(&from, outbox->trimmed);
	o_key(&to, outbox->newest - OUTBOX_KEPT + 1);
	batch_delete_range(batch, key_bytes(&from), key_bytes(&to));
	outbox->trimmed = outbox->newest - OUTBOX_KEPT + 1;
}

void outbox_trim_before(struct outbox *outbox, struct store_batch *batch, int64_t before_ms,
                        size_t most)
{
	uint64_t below = 0;
	struct key from, to;
	struct store_scan *scan;
	struct bytes row, value;

	o_key(&from, outbox->trimmed);
	o_key(&to, outbox->written);
	scan = scan_open(outbox->store, key_bytes(&from), key_bytes(&to), false);
	while (most-- > 0 && scan_next(scan, &row, &value) && made_ms(value) < before_ms)
		below = number_in(row) + 1;
	scan_close(scan);
	if (below == 0)
		return;
	o_key(&to, below);
	batch_delete_range(batch, key_bytes(&from), key_bytes(&to));
	outbox->trimmed = outbox->written_trimmed = below;
}

void outbox_settle(struct outbox *outbox, bool written)
{
	outbox->n_fresh = 0;
	if (written) {
		outbox->written = outbox->newest;
		outbox->written_trimmed = outbox->trimmed;
	} else {
		outbox->newest = outbox->written;
		outbox->trimmed = outbox->written_trimmed;
	}
}

/* ---- reading ---- */

uint64_t outbox_read(struct outbox *outbox, uint64_t from, uint64_t to, size_t limit,
                     struct buf *ret)
{
	uint64_t last = from - 1;
	struct key first, end;
	struct store_scan *scan;
	struct bytes row, value;

	if (from > to)
		return last;
	o_key(&first, from);
	o_key(&end, to + 1);
	scan = scan_open(outbox->store, key_bytes(&first), key_bytes(&end), false);
	while (limit-- > 0 && ret->len < OUTBOX_READ_BYTES && scan_next(scan, &row, &value)) {
		raw_add_bytes(ret, 1, value);
		last = number_in(row);
	}
	scan_close(scan);
	return last;
}

uint64_t outbox_since(struct outbox *outbox, int64_t since_ms, size_t limit)
{
	uint64_t oldest = outbox->newest + 1;
	struct key from, to;
	struct store_scan *scan;
	struct bytes row, value;

	key_start(&from, PARTITION_OWN, NULL, 'O');
	key_end_of(&from, &to);
	scan = scan_open(outbox->store, key_bytes(&from), key_bytes(&to), true);
	while (limit-- > 0 && scan_next(scan, &row, &value) && made_ms(value) >= since_ms)
		oldest = number_in(row);
	scan_close(scan);
	return oldest;
}
