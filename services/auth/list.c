/*
 * A listing is read in slices, one a turn, over the keys as they stood when it was asked:
 * however many keys an account has, leases and revokes are not kept waiting.
 */
#include "services/auth/commands.h"

#include <string.h>

#define SLICE_ROWS 128
#define LIST_BYTES                                                                                 \
	(BUS_MAX_BYTES - 4096) /* an answer that the bus carries; then it is cut short             \
	                        */
#define LISTS_MOST 64

struct listing {
	TAILQ_ENTRY(listing) link;
	struct auth *auth;
	struct bus_call *call;
	struct uuid account;
	struct store_scan *scan;
	char *external_id, *hint, *label; /* NULL: all */
	size_t left, n, cap, bytes;
	bool is_cut; /* one more would have come */
	Events__KeyRow **row;
	struct timer timer;
};

static void free_list(struct listing *list)
{
	TAILQ_REMOVE(&list->auth->lists, list, link);
	list->auth->n_lists--;
	timer_stop(list->auth->loop, &list->timer);
	for (size_t i = 0; i < list->n; i++)
		wire_free(&list->row[i]->base);
	mem_free(list->row);
	mem_free(list->external_id);
	mem_free(list->hint);
	mem_free(list->label);
	scan_close(list->scan);
	mem_free(list);
}

void show_last_use(struct auth *auth, const struct uuid *account, Auth__Key *key)
{
	struct last_use last;
	struct uuid id;

	MUST(uuid_parse(key->id, &id));
	usage_last(auth->usage, account, &id, &last);
	key->last_used_at = last.ms;
	key->has_last_used_at = last.ms != 0;
	key->last_used_address = last.address;
	key->last_used_agent = last.agent;
}

static void answer_list(struct listing *list)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__KeyList keys = AUTH__KEY_LIST__INIT;

	keys.n_items = list->n;
	keys.items = xcalloc(list->n, sizeof(Auth__Key *));
	for (size_t i = 0; i < list->n; i++)
		keys.items[i] = list->row[i]->key;
	reply.result_case = AUTH__AUTH_REPLY__RESULT_KEYS;
	reply.keys = &keys;
	if (list->is_cut && list->n > 0)
		reply.next = list->row[list->n - 1]->key->id;
	core_answer(list->auth, TAKE(list->call), &reply);
	mem_free(keys.items);
}

static bool is_wanted(const struct listing *list, const Auth__Key *key)
{
	return (!list->external_id ||
	        (key->external_id && strcmp(key->external_id, list->external_id) == 0)) &&
	       (!list->hint || strcmp(key->hint, list->hint) == 0) &&
	       (!list->label || strcasestr(key->label, list->label));
}

/* False when it is full. */
static bool add_row(struct listing *list, struct bytes value)
{
	Events__KeyRow *row = (Events__KeyRow *)wire_unpack(&events__key_row__descriptor, value);

	if (!row) {
		log_error("row-malformed", "table=k");
		return true;
	}
	if (!is_wanted(list, row->key)) {
		wire_free(&row->base);
		return true;
	}
	show_last_use(list->auth, &list->account, row->key);
	list->bytes += 8 + protobuf_c_message_get_packed_size(&row->key->base);
	if (list->left == 0 || list->bytes > LIST_BYTES) {
		wire_free(&row->base);
		list->is_cut = true;
		return false;
	}
	if (list->n == list->cap) {
		list->cap = list->cap ? 2 * list->cap : 16;
		list->row = xrealloc(list->row, list->cap, sizeof *list->row);
	}
	list->row[list->n++] = row;
	list->left--;
	return true;
}

static void on_slice(void *self)
{
	struct listing *list = self;
	struct bytes key, value;
	struct refusal why;
	bool is_over = false;
	enum err err;

	for (int i = 0; i < SLICE_ROWS && !is_over; i++) {
		if (!scan_next(list->scan, &key, &value)) {
			is_over = true;
			err = scan_err(list->scan);
			if (err != OK) {
				why = refusal_of(err, REFUSAL_AWAY("the list cannot be read"));
				core_refuse(list->auth, TAKE(list->call), &why);
				free_list(list);
				return;
			}
		} else if (!add_row(list, value)) {
			is_over = true;
		}
	}
	if (!is_over) {
		timer_set(list->auth->loop, &list->timer, 0, on_slice, list);
		return;
	}
	answer_list(list);
	free_list(list);
}

static bool is_well_asked(const Auth__ListKeys *wanted, struct uuid *ret_before,
                          struct refusal *ret_why)
{
	if (wanted->has_limit && wanted->limit == 0)
		*ret_why = refusal(400, "limit: expected 1 or more, got 0");
	else if (wanted->external_id && !wanted->external_id[0])
		*ret_why = refusal(400, "external_id: expected 1 to 128 bytes, got 0");
	else if (wanted->cursor && !uuid_parse(wanted->cursor, ret_before))
		*ret_why = refusal(400, "cursor: expected one from a Link header");
	else
		return true;
	return false;
}

void list_wanted(struct auth *auth, struct bus_call *call, const struct uuid *account,
                 const Auth__ListKeys *wanted)
{
	struct refusal why;
	struct listing *list;
	struct uuid before;

	if (!is_well_asked(wanted, &before, &why)) {
		core_refuse(auth, call, &why);
		return;
	}
	if (auth->n_lists >= LISTS_MOST) {
		auth->metrics.dropped_total++;
		bus_drop(call);
		return;
	}
	list = xcalloc(1, sizeof *list);
	list->auth = auth;
	list->call = call;
	list->account = *account;
	list->external_id = wanted->external_id ? xstrdup(wanted->external_id) : NULL;
	list->hint = wanted->hint ? xstrdup(wanted->hint) : NULL;
	list->label = wanted->label ? xstrdup(wanted->label) : NULL;
	list->left = wanted->has_limit ? wanted->limit : SIZE_MAX;
	list->scan = rows_scan_keys(auth->store, account, wanted->cursor ? &before : NULL);
	TAILQ_INSERT_TAIL(&auth->lists, list, link);
	auth->n_lists++;
	on_slice(list);
}

void lists_done(struct auth *auth)
{
	struct listing *list;

	while ((list = TAILQ_FIRST(&auth->lists))) {
		bus_drop(list->call);
		free_list(list);
	}
}

void get_wanted(struct auth *auth, struct bus_call *call, const struct uuid *account,
                const char *text)
{
	AUTO(wire_free) ProtobufCMessage *message = NULL;
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	struct uuid id;
	enum err err = ERR_NOT_FOUND;

	if (uuid_parse(text, &id))
		err = rows_key(auth->store, account, &id, (Events__KeyRow **)&message);
	if (err != OK) {
		struct refusal why = refusal_of(err, refusal(404, DETAIL_NO_SUCH_KEY));

		core_refuse(auth, call, &why);
		return;
	}
	reply.result_case = AUTH__AUTH_REPLY__RESULT_KEY;
	reply.key = ((Events__KeyRow *)message)->key;
	show_last_use(auth, account, reply.key);
	core_answer(auth, call, &reply);
}
