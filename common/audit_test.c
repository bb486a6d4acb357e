#include "common/audit.h"

#include "common/clock.h"
#include "common/keys.h"
#include "common/wire.h"
#include "events.pb-c.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const char *const silent[] = { "session_closed", NULL };
static const char *const hidden[] = { "kept", NULL };
static const char *const erasures[] = { "erasing", NULL };
static const struct audit_source source = {
	&events__router_event__descriptor, silent, hidden, 'r', erasures, false
};
static const struct uuid account = { { 1 } }, other = { { 2 } };
static int64_t now_us;
static struct loop *loop;
static struct store *store;
static struct journal *journal;
static bool indexed;

static int64_t fake_us(void *ctx)
{
	(void)ctx;
	return now_us;
}

static void apply(void *ctx, uint64_t seq, struct bytes bytes, struct store_batch *view)
{
	AUTO(wire_free)
	ProtobufCMessage *event = wire_unpack(&events__router_event__descriptor, bytes);

	(void)ctx;
	cr_assert(event != NULL);
	if (indexed)
		audit_apply(&source, event, seq, view);
}

static void setup(void)
{
	now_us = 1000000;
	indexed = true;
	clock_set_source(fake_us, NULL, 0);
	loop = loop_new_virtual();
	store = store_open_memory(loop, 1);
	journal = journal_open(store, loop, apply, NULL);
}

static void teardown(void)
{
	journal_close(journal);
	store_close(store);
	loop_free(loop);
	clock_set_source(NULL, NULL, 0);
}

TestSuite(audit, .init = setup, .fini = teardown);

static void note(void *ctx, enum err err)
{
	(void)ctx;
	cr_assert_eq(err, OK);
}

static void append(Events__RouterEvent *event)
{
	struct buf buf = { 0 };
	struct bytes packed = wire_pack(&buf, &event->base);

	journal_append(journal, &packed, 1, note, NULL);
	now_us += 10000;
	loop_dispatch(loop);
	buf_free(&buf);
}

/* A model is deleted, at that second, by that key, from 192.0.2.1. */
static void deletes(const struct uuid *whose, int64_t at_s, uint8_t model, uint8_t by)
{
	Events__RouterEvent event = EVENTS__ROUTER_EVENT__INIT;
	Events__ModelDeleted deleted = EVENTS__MODEL_DELETED__INIT;
	Raeh__Origin origin = RAEH__ORIGIN__INIT;
	struct uuid id = { { 10, model } }, key = { { 20, by } };

	event.at_ms = at_s * 1000;
	event.account = wire_bytes_of(whose);
	event.has_by = by != 0;
	event.by = wire_bytes_of(&key);
	origin.address = (char *)"192.0.2.1";
	event.origin = &origin;
	event.event_case = EVENTS__ROUTER_EVENT__EVENT_MODEL_DELETED;
	event.model_deleted = &deleted;
	deleted.id = wire_bytes_of(&id);
	append(&event);
}

static Raeh__AuditPage *page_of(const struct uuid *whose, const Raeh__ListAudit *wanted)
{
	Raeh__AuditPage *page = NULL;
	char why[AUDIT_WHY] = "";

	cr_assert_eq(audit_list(&source, store, journal, whose, wanted, why, &page), OK, "%s", why);
	return page;
}

static void expect(const Raeh__ListAudit *wanted, const char *ids)
{
	Raeh__AuditPage *page = page_of(&account, wanted);
	char got[256] = "";

	for (size_t i = 0; i < page->list->n_items; i++)
		(void)sprintf(got + strlen(got), "%s ", page->list->items[i]->id);
	cr_assert_str_eq(got, ids);
	wire_free(&page->base);
}

Test(audit, lists_what_was_done_to_an_account_newest_first)
{
	Raeh__ListAudit all = RAEH__LIST_AUDIT__INIT;
	Raeh__AuditPage *page;

	deletes(&account, 1, 1, 7);
	deletes(&other, 2, 2, 8);
	deletes(&account, 3, 3, 0);
	page = page_of(&account, &all);
	cr_assert_eq(page->list->n_items, 2);
	cr_assert_eq(page->place->next, 0);
	cr_assert_str_eq(page->list->items[0]->id, "r3");
	cr_assert_str_eq(page->list->items[0]->action, "model_deleted");
	cr_assert_null(page->list->items[0]->by);
	cr_assert_str_eq(page->list->items[1]->by, "14070000-0000-0000-0000-000000000000");
	cr_assert_str_eq(page->list->items[1]->target, "0a010000-0000-0000-0000-000000000000");
	cr_assert_str_eq(page->list->items[1]->address, "192.0.2.1");
	cr_assert_eq(page->list->items[1]->created_at, 1000);
	cr_assert_eq(page->list->items[1]->count, 1);
	cr_assert_not(page->list->items[1]->redacted);
	wire_free(&page->base);
}

Test(audit, leaves_out_what_its_service_keeps_silent_about)
{
	Raeh__ListAudit all = RAEH__LIST_AUDIT__INIT;
	Events__RouterEvent event = EVENTS__ROUTER_EVENT__INIT;
	Events__SessionClosed closed = EVENTS__SESSION_CLOSED__INIT;

	closed.id = wire_bytes_of(&other);
	closed.close_reason = (char *)"";
	event.account = wire_bytes_of(&account);
	event.event_case = EVENTS__ROUTER_EVENT__EVENT_SESSION_CLOSED;
	event.session_closed = &closed;
	append(&event);
	expect(&all, "");
}

static bool any(void *ctx, struct bytes event)
{
	(void)ctx;
	(void)event;
	return true;
}

Test(audit, erases_what_it_does_not_show)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	Raeh__ListAudit all = RAEH__LIST_AUDIT__INIT;
	Events__RouterEvent event = EVENTS__ROUTER_EVENT__INIT;
	Raeh__Kept kept = RAEH__KEPT__INIT;
	struct buf buf = { 0 };
	uint64_t after = 0;

	kept.account = wire_bytes_of(&account);
	kept.name = kept.body = wire_bytes_of(&other);
	kept.state = RAEH__KEPT__STATE__DONE;
	event.account = wire_bytes_of(&account);
	event.event_case = EVENTS__ROUTER_EVENT__EVENT_KEPT;
	event.kept = &kept;
	append(&event);
	expect(&all, "");
	cr_assert_eq(journal_get(journal, 1, &buf), OK);
	cr_assert_eq(audit_redact(store, journal, &account, &after, batch, any, NULL), OK);
	cr_assert_eq(store_write(store, batch), OK);
	cr_assert_eq(journal_get(journal, 1, &buf), ERR_NOT_FOUND);
	buf_free(&buf);
}

Test(audit, filters_by_time_key_and_action)
{
	Raeh__ListAudit by_time = RAEH__LIST_AUDIT__INIT, by_key = RAEH__LIST_AUDIT__INIT,
	                by_action = RAEH__LIST_AUDIT__INIT, without = RAEH__LIST_AUDIT__INIT;

	for (uint8_t i = 1; i <= 5; i++)
		deletes(&account, i, i, i % 2);
	by_time.has_from_at = by_time.has_to_at = 1;
	by_time.from_at = 2000;
	by_time.to_at = 4000;
	expect(&by_time, "r4 r3 r2 ");
	by_key.key_id = (char *)"14010000-0000-0000-0000-000000000000";
	expect(&by_key, "r5 r3 r1 ");
	by_key.key_id = (char *)"0a040000-0000-0000-0000-000000000000";
	expect(&by_key, "r4 ");
	by_action.action = (char *)"model_created";
	expect(&by_action, "");
	by_action.action = (char *)"model_deleted";
	expect(&by_action, "r5 r4 r3 r2 r1 ");
	without.without = (char *)"model_created";
	expect(&without, "r5 r4 r3 r2 r1 ");
	without.without = (char *)"model_deleted";
	expect(&without, "");
}

Test(audit, goes_on_where_a_page_ended)
{
	Raeh__ListAudit some = RAEH__LIST_AUDIT__INIT;
	Raeh__AuditPage *page;

	for (uint8_t i = 1; i <= 5; i++)
		deletes(&account, i, i, i);
	some.has_limit = 1;
	some.limit = 2;
	page = page_of(&account, &some);
	cr_assert_eq(page->place->next, 4);
	wire_free(&page->base);
	some.cursor = (char *)"a99r4";
	expect(&some, "r3 r2 ");
	some.cursor = (char *)"r2";
	page = page_of(&account, &some);
	cr_assert(page->list->n_items == 1 && page->place->next == 0);
	wire_free(&page->base);
	some.cursor = (char *)"a3";
	expect(&some, "");
}

Test(audit, refuses_what_cannot_be)
{
	Raeh__ListAudit bad[4];
	Raeh__AuditPage *page;
	char why[AUDIT_WHY];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		raeh__list_audit__init(&bad[i]);
	bad[0].has_limit = 1;
	bad[1].has_limit = 1;
	bad[1].limit = 201;
	bad[2].key_id = (char *)"nonsense";
	bad[3].cursor = (char *)"r-1";
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_eq(audit_list(&source, store, journal, &account, &bad[i], why, &page),
		             ERR_MALFORMED);
}

Test(audit, makes_the_index_of_a_journal_that_is_older)
{
	Raeh__ListAudit all = RAEH__LIST_AUDIT__INIT;

	indexed = false;
	deletes(&account, 1, 1, 7);
	deletes(&account, 2, 2, 7);
	expect(&all, "");
	cr_assert_eq(audit_fill(&source, store, journal), OK);
	expect(&all, "r2 r1 ");
	cr_assert_eq(audit_fill(&source, store, journal), OK);
	indexed = true;
	deletes(&account, 3, 3, 7);
	expect(&all, "r3 r2 r1 ");
}

Test(audit, keeps_that_something_was_done_when_what_it_was_is_erased)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	Raeh__ListAudit all = RAEH__LIST_AUDIT__INIT;
	Raeh__AuditPage *page;
	uint64_t after = 0, bad;

	deletes(&account, 1, 1, 7);
	deletes(&other, 2, 2, 8);
	cr_assert_eq(audit_redact(store, journal, &account, &after, batch, NULL, NULL), OK);
	cr_assert_eq(audit_redact(store, journal, &account, &after, batch, NULL, NULL),
	             ERR_NOT_FOUND);
	cr_assert_eq(store_write(store, batch), OK);
	cr_assert_eq(journal_verify(journal, &bad), OK);
	page = page_of(&account, &all);
	cr_assert(page->list->items[0]->redacted && !page->list->items[0]->address);
	cr_assert_str_eq(page->list->items[0]->action, "model_deleted");
	wire_free(&page->base);
	page = page_of(&other, &all);
	cr_assert_not(page->list->items[0]->redacted);
	wire_free(&page->base);
}

/* ---- raeh audit verify ---- */

static void given_a_trail(void)
{
	cr_assert_eq(audit_fill(&source, store, journal), OK);
	deletes(&account, 1, 1, 1);
	deletes(&other, 2, 2, 0);
	deletes(&account, 3, 3, 2);
}

/* NULL: the trail is whole. */
static void expect_check(uint64_t bad_seq, const char *why)
{
	struct journal_check check;
	enum err err = audit_check(&source, store, &check);

	cr_assert_eq(err, why ? ERR_MALFORMED : OK, "%s", check.why ? check.why : "-");
	cr_assert_eq(check.bad_seq, bad_seq);
	cr_assert(!why || strstr(check.why, why), "%s", check.why);
}

static struct key place(const struct uuid *whose, uint64_t seq)
{
	struct key key;

	key_start(&key, PARTITION_OWN, whose, 'A');
	key_add_u64(&key, seq);
	return key;
}

static void move_row(const struct uuid *from, uint64_t from_seq, const struct uuid *to,
                     uint64_t to_seq)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	struct key key = place(from, from_seq), other_key = place(to, to_seq);
	struct buf row = { 0 };

	cr_assert_eq(store_get(store, key_bytes(&key), &row), OK);
	batch_put(batch, key_bytes(&other_key), BYTES(row.data, row.len));
	cr_assert_eq(store_write(store, batch), OK);
	buf_free(&row);
}

Test(audit, is_whole_as_it_was_written, .init = given_a_trail)
{
	expect_check(0, NULL);
}

Test(audit, that_shows_something_else_than_the_journal_is_found, .init = given_a_trail)
{
	move_row(&account, 3, &account, 1);
	expect_check(1, "shows something else");
}

Test(audit, that_hides_a_record_is_found, .init = given_a_trail)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	struct key key = place(&other, 2);

	batch_delete(batch, key_bytes(&key));
	cr_assert_eq(store_write(store, batch), OK);
	expect_check(2, "does not show it");
}

Test(audit, that_shows_what_nobody_did_is_found, .init = given_a_trail)
{
	move_row(&account, 3, &other, 3);
	expect_check(3, "what no record says");
}

static void redact_record(uint64_t seq)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();

	cr_assert_eq(journal_redact(journal, seq, batch), OK);
	cr_assert_eq(store_write(store, batch), OK);
}

static void erases(const struct uuid *whose)
{
	Events__RouterEvent event = EVENTS__ROUTER_EVENT__INIT;
	Events__Erasing erasing = EVENTS__ERASING__INIT;

	event.at_ms = 9000;
	event.account = wire_bytes_of(whose);
	event.event_case = EVENTS__ROUTER_EVENT__EVENT_ERASING;
	event.erasing = &erasing;
	append(&event);
}

Test(audit, redacted_where_nothing_was_deleted_is_found, .init = given_a_trail)
{
	redact_record(3);
	expect_check(3, "nothing was deleted since");
	erases(&other);
	expect_check(3, "nothing was deleted since");
	erases(&account);
	expect_check(0, NULL);
	deletes(&account, 10, 4, 1);
	redact_record(6);
	expect_check(6, "nothing was deleted since");
}

Test(audit, redacted_with_its_row_is_found, .init = given_a_trail)
{
	AUTO(batch_free) struct store_batch *batch = batch_new();
	struct key key = place(&account, 1);

	redact_record(1);
	batch_delete(batch, key_bytes(&key));
	cr_assert_eq(store_write(store, batch), OK);
	expect_check(1, "nothing was deleted since");
	erases(&other);
	expect_check(0, NULL); /* its rows may have gone with its account */
}
