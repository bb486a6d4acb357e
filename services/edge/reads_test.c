#include "services/edge/reads.h"

#include "services/edge/fake_bus.h"

static struct reads *reads;
static unsigned flushes;

static void setup(void)
{
	world_open();
	flushes = 0;
	reads = reads_new(&(struct reads_deps){
	        .loop = world.loop, .bus = &world.bus, .slot = 1, .incarnation = id_of(77) });
}

static void teardown(void)
{
	reads_free(reads);
	world_close();
}

TestSuite(reads, .init = setup, .fini = teardown);

static void reads_of(unsigned key, const char *resource)
{
	const struct net_request request = { .peer = "192.0.2.1", .user_agent = "app/1" };
	Raeh__Principal principal = RAEH__PRINCIPAL__INIT;
	struct uuid id = id_of(key), account = id_of(900);
	struct origin *origin = origin_new(&request);

	principal.key = wire_bytes_of(&id);
	principal.account = wire_bytes_of(&account);
	reads_note(reads, &principal, resource, "/v1/sessions/{id}", origin);
	origin_free(origin);
}

static Auth__AuthRequest *told(void)
{
	return (Auth__AuthRequest *)question_as(asked("auth"), &auth__auth_request__descriptor);
}

static void on_flushed(void *ctx)
{
	(void)ctx;
	flushes++;
}

Test(reads, are_told_when_their_minute_is_over_as_one_count)
{
	Auth__AuthRequest *request;

	reads_of(1, "/v1/insights");
	reads_of(1, "/v1/insights");
	reads_of(2, "/v1/insights");
	reads_of(1, "/v1/sessions");
	pass(100);
	cr_assert_eq(asked_count("auth"), 0);
	pass(READS_MINUTE_MS);
	request = told();
	cr_assert_eq(request->audit_reads->n_reads, 3);
	cr_assert_eq(request->audit_reads->number, 1);
	cr_assert_eq(request->audit_reads->reads[0]->count, 2);
	cr_assert_str_eq(request->audit_reads->reads[0]->resource, "/v1/insights");
	cr_assert_str_eq(request->audit_reads->reads[0]->origin->address, "192.0.2.1");
	cr_assert_str_eq(request->audit_reads->reads[0]->origin->agent, "app/1");
	cr_assert_eq(request->audit_reads->reads[0]->minute_ms % READS_MINUTE_MS, 0);
	cr_assert_eq(request->audit_reads->reads[1]->count, 1);
	wire_free(&request->base);
	reads_of(1, "/v1/insights");
	auth_is_done();
	cr_assert_eq(asked_count("auth"), 0, "the next minute is not over");
	pass(READS_MINUTE_MS);
	request = told();
	cr_assert_eq(request->audit_reads->number, 2);
	cr_assert_eq(request->audit_reads->n_reads, 1);
	wire_free(&request->base);
}

Test(reads, are_told_again_as_they_were_until_auth_has_them)
{
	struct buf first = { 0 };

	reads_of(1, "/v1/insights");
	pass(READS_MINUTE_MS);
	buf_append(&first, asked("auth")->data.data, asked("auth")->data.len);
	world_lose(asked("auth"));
	reads_of(1, "/v1/sessions");
	pass(1000);
	cr_assert_eq(asked("auth")->data.len, first.len);
	cr_assert_eq(memcmp(asked("auth")->data.data, first.data, first.len), 0);
	refuse_key(asked("auth"), 503);
	pass(1000);
	auth_is_done();
	buf_free(&first);
}

Test(reads, are_told_in_parts_when_they_are_many)
{
	char resource[32];
	unsigned sum = 0;

	for (int i = 0; i < 600; i++) {
		(void)snprintf(resource, sizeof resource, "/v1/sessions/%d", i);
		reads_of(1, resource);
	}
	pass(READS_MINUTE_MS);
	while (asked("auth")) {
		Auth__AuthRequest *request = told();

		sum += (unsigned)request->audit_reads->n_reads;
		wire_free(&request->base);
		auth_is_done();
	}
	cr_assert_eq(sum, 600);
}

Test(reads, are_noted_by_their_kind_when_they_are_too_many_to_name)
{
	char resource[32];
	uint64_t sum = 0, of_kind = 0;

	for (int i = 0; i < READS_MOST + 3; i++) {
		(void)snprintf(resource, sizeof resource, "/v1/sessions/%d", i);
		reads_of(1, resource);
	}
	reads_of(2, "/v1/sessions/0");
	reads_of(1, "/v1/sessions/0");
	cr_assert_eq(reads_lost(reads), 0);
	pass(READS_MINUTE_MS);
	while (asked("auth")) {
		Auth__AuthRequest *request = told();

		for (size_t i = 0; i < request->audit_reads->n_reads; i++) {
			const Auth__Read *read = request->audit_reads->reads[i];

			sum += read->count;
			if (strcmp(read->resource, "/v1/sessions/{id}") == 0)
				of_kind += read->count;
		}
		wire_free(&request->base);
		auth_is_done();
	}
	cr_assert_eq(sum, READS_MOST + 5);
	cr_assert_eq(of_kind, 4, "three of one key, one of another");
}

Test(reads, are_bounded_and_what_is_not_noted_is_counted)
{
	for (unsigned key = 1; key <= 2 * READS_MOST + 3; key++)
		reads_of(key, "/v1/insights");
	cr_assert_eq(reads_lost(reads), 3);
}

Test(reads, are_told_once_each_when_the_clock_is_set_back)
{
	Auth__AuthRequest *request;
	uint64_t sum = 0;

	reads_of(1, "/v1/insights");
	clock_set_source(fake_now_us, NULL, FAKE_WALL_MS - 2 * READS_MINUTE_MS); /* wall alone */
	reads_of(1, "/v1/sessions");
	reads_of(1, "/v1/sessions");
	pass(2 * READS_MINUTE_MS);
	while (asked("auth")) {
		request = told();
		for (size_t i = 0; i < request->audit_reads->n_reads; i++)
			sum += request->audit_reads->reads[i]->count;
		wire_free(&request->base);
		auth_is_done();
		pass(READS_MINUTE_MS);
	}
	cr_assert_eq(sum, 3);
}

Test(reads, are_told_before_the_edge_goes)
{
	reads_flush(reads, on_flushed, NULL);
	pass(1);
	cr_assert_eq(flushes, 1);
	reads_of(1, "/v1/insights");
	reads_flush(reads, on_flushed, NULL);
	pass(1);
	cr_assert_eq(flushes, 1);
	auth_is_done();
	cr_assert_eq(flushes, 2);
	reads_of(1, "/v1/insights");
	reads_flush(reads, on_flushed, NULL);
	pass(600);
	cr_assert_eq(flushes, 3, "auth is away: the edge does not wait for it");
}
