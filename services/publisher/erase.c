#include "services/publisher/erase.h"

#include "common/log.h"

#include <stdlib.h>
#include <unistd.h>

/* The tables of which a session has rows of its own, but its own row and its insights. */
static const char tables[] = { 'f', 'a', 'c', 'g', 'k', 't', 'S' };

static enum err delete_rows(struct items *items, const struct session_name *name)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	struct key from, to;
	enum err err;

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		session_key(&from, name, tables[i]);
		key_end_of(&from, &to);
		batch_delete_range(batch, key_bytes(&from), key_bytes(&to));
	}
	session_key(&from, name, 'f');
	key_end_of(&from, &to);
	batch_give_back(batch, key_bytes(&from), key_bytes(&to));
	err = store_write(items->store, batch);
	if (err == ERR_IO) {
		log_error("write-failed", "why=\"%s\"", store_why(items->store));
		_exit(EXIT_FAILURE);
	}
	return err;
}

/* Into the batch. True: there are more. */
static bool remove_insights(struct items *items, const struct session_name *name, uint64_t *ret_n)
{
	struct key from, to;
	struct store_scan *scan;
	struct bytes key, value;
	bool more = false;

	session_key(&from, name, 'x');
	key_end_of(&from, &to);
	scan = scan_open(items->store, key_bytes(&from), key_bytes(&to), false);
	*ret_n = 0;
	while (!more && scan_next(scan, &key, &value)) {
		more = *ret_n == ERASE_SLICE;
		if (more)
			break;
		outbox_remove(items->outbox, items->batch, name,
		              key_read_u64((const uint8_t *)key.data + key.len - 8), value);
		++*ret_n;
	}
	scan_close(scan);
	return more;
}

/* The account's part of this partition, but the frames, of which there are many; and where insights
 * stand by account and by number. */
static void give_back(struct store_batch *batch, const struct session_name *name)
{
	static const char *const ranges[] = { "Se", "gy" };
	struct key from, to;

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		key_start(&from, name->partition, &name->account, ranges[i][0]);
		key_start(&to, name->partition, &name->account, ranges[i][1]);
		batch_give_back(batch, key_bytes(&from), key_bytes(&to));
	}
	key_start(&from, PARTITION_OWN, &name->account, 'i');
	key_end_of(&from, &to);
	batch_give_back(batch, key_bytes(&from), key_bytes(&to));
	key_start(&from, PARTITION_OWN, NULL, 'O');
	key_end_of(&from, &to);
	batch_give_back(batch, key_bytes(&from), key_bytes(&to));
}

/* The session as it is; one never seen is remembered as erased. */
static enum err find(struct items *items, const struct session_name *name, struct session **ret)
{
	enum err err = session_table_get(items->table, name, ret);

	if (err == ERR_NOT_FOUND) {
		*ret = session_table_add(items->table, name);
		err = OK;
	}
	return err;
}

enum err erase_session(struct items *items, const Publisher__EraseSession *asked,
                       Publisher__Erased *ret, bool *ret_more)
{
	struct session_name name;
	struct session *session;
	uint64_t insights;
	enum err err;

	if (!items_name(items, asked->account, asked->session, asked->partition, &name))
		return ERR_MALFORMED;
	err = find(items, &name, &session);
	if (err != OK)
		return err;
	if (!session->erased) {
		ret->frames = session->frames;
		session_erase(session, asked->closing);
		err = delete_rows(items, &name);
		if (err != OK) { /* as it is in the store */
			session_table_drop(items->table, session);
			return err;
		}
		items->metrics->sessions_erased_total++;
	}
	*ret_more = remove_insights(items, &name, &insights);
	if (!*ret_more)
		give_back(items->batch, &name);
	items_touch(items, session);
	session_save(session, items->batch);
	err = items_write(items);
	if (err == OK)
		ret->insights = insights;
	return err;
}
