#include "services/publisher/session_table.h"

#include "common/clock.h"
#include "common/log.h"

void session_table_init(struct session_table *table, struct store *store, size_t most)
{
	*table = (struct session_table){ .store = store, .most = most };
	map_init(&table->map, sizeof(struct session_name));
	list_init(&table->used);
}

void session_table_drop(struct session_table *table, struct session *session)
{
	map_remove(&table->map, &session->in_table);
	list_remove(&session->used);
	list_remove(&session->touched);
	session_free(session);
}

static struct session *longest_unused(struct session_table *table)
{
	return LIST_OWNER(list_first(&table->used), struct session, used);
}

void session_table_done(struct session_table *table)
{
	struct session *session;

	while ((session = longest_unused(table)))
		session_table_drop(table, session);
	map_done(&table->map);
}

static void use(struct session_table *table, struct session *session)
{
	session->used_ms = clock_boot_ms();
	list_append(&table->used, &session->used);
}

static void insert(struct session_table *table, struct session *session)
{
	map_add(&table->map, &session->in_table, &session->name);
	use(table, session);
}

struct session *session_table_peek(struct session_table *table, const struct session_name *name)
{
	return MAP_OWNER(map_find(&table->map, name), struct session, in_table);
}

struct session *session_table_add(struct session_table *table, const struct session_name *name)
{
	struct session *session = session_new(name);

	insert(table, session);
	return session;
}

enum err session_table_get(struct session_table *table, const struct session_name *name,
                           struct session **ret)
{
	struct session *session = session_table_peek(table, name);
	enum err err;

	if (session) {
		use(table, session);
		*ret = session;
		return OK;
	}
	err = session_load(table->store, name, true, &table->replayed, &session);
	if (err != OK)
		return err;
	table->loaded++;
	insert(table, session);
	*ret = session;
	return OK;
}

/* A store that refuses costs a longer replay later, nothing else. */
static void park(struct session_table *table, struct session *session)
{
	AUTO(batch_free) struct store_batch *batch = NULL;

	if (session->analysis && session->checkpoint_next != session->next) {
		batch = batch_new();
		session_checkpoint(session, batch);
		session_save(session, batch);
		if (store_write(table->store, batch) != OK)
			log_warn("checkpoint-refused", "session=%s why=\"%s\"", session->text,
			         store_why(table->store));
	}
	session_table_drop(table, session);
}

void session_table_trim(struct session_table *table, size_t steps)
{
	int64_t now = clock_boot_ms();

	for (struct session *session; steps > 0 && (session = longest_unused(table)); steps--) {
		int64_t keep_ms = session->closed ? SESSION_CLOSED_MS : SESSION_IDLE_MS;

		if (table->map.count <= table->most && now - session->used_ms < keep_ms)
			break;
		park(table, session);
	}
}

void session_table_park(struct session_table *table)
{
	for (struct session *session; (session = longest_unused(table));)
		park(table, session);
}
