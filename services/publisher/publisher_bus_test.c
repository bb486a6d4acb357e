/* The whole publisher over the real bus and the real store, in a process that is killed. */
#include "common/keys.h"
#include "common/clock.h"
#include "common/wire.h"
#include "services/publisher/publisher_rig.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FRAMES   600
#define RUN_MOST 20
#define DEADLINE 3000

static char directory[] = "/tmp/publisher_bus_test.XXXXXX";
static const uint8_t secret[SECRET_BYTES] = { 3 };

/* ---- the process under test ---- */

static _Noreturn void serve(void)
{
	struct loop *loop = loop_new();
	struct bus_config config = { .directory = directory };
	char *path = xasprintf("%s/store", directory);
	struct store *store = NULL;
	struct bus *bus = NULL;
	char why[256];

	if (bus_open(loop, &config, &bus) != OK ||
	    store_open(path, KEY_RUN_SESSION, loop, why, &store) != OK ||
	    !publisher_new(&(struct publisher_deps){
	            .loop = loop, .bus = bus, .store = store, .secret = secret, .publishers = 1 }))
		_exit(EXIT_FAILURE);
	loop_run(loop);
	_exit(EXIT_SUCCESS);
}

static pid_t start(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve();
	}
	return pid;
}

/* Forks and kills publishers: made before the test has threads, which no fork survives. Each
 * byte read is a wish for a new one. */
static _Noreturn void supervise(int wishes)
{
	pid_t pid = start();
	char wish;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(wishes, &wish, 1) == 1) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		pid = start();
	}
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	_exit(EXIT_SUCCESS);
}

/* ---- the edge ---- */

struct client {
	struct loop *loop;
	struct bus *bus;
	Publisher__PublisherReply *reply; /* NULL: none came in time */
	uint64_t newest;                  /* insight that was broadcast */
	size_t broadcast;
};

static void on_reply(void *self, enum err err, struct bytes bytes)
{
	struct client *client = self;

	loop_stop(client->loop);
	client->reply = err != OK ? NULL
	                          : (Publisher__PublisherReply *)wire_unpack(
	                                    &publisher__publisher_reply__descriptor, bytes);
}

static void on_insights(void *self, struct bytes event)
{
	struct client *client = self;
	Publisher__InsightsPublished *news = (Publisher__InsightsPublished *)wire_unpack(
	        &publisher__insights_published__descriptor, event);

	cr_assert(news);
	client->broadcast += news->n_insights;
	client->newest = news->newest;
	wire_free(&news->base);
}

static void ask(struct client *client, Publisher__PublisherRequest *request)
{
	struct buf packed = { 0 };

	bus_request(client->bus, "publisher-0", wire_pack(&packed, &request->base), DEADLINE,
	            on_reply, client);
	loop_run(client->loop);
	buf_free(&packed);
}

/* Sends some items from session->next on; false: no answer came in time. */
static bool send_run(struct client *client, struct rig_session *session,
                     Publisher__Opening *opening, int64_t t0)
{
	static uint8_t bytes[RUN_MOST][RIG_FRAME_BYTES];
	ProtobufCBinaryData frames[RUN_MOST];
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__Items items = PUBLISHER__ITEMS__INIT;
	Publisher__SessionItems run = PUBLISHER__SESSION_ITEMS__INIT, *runs[] = { &run };

	run.account = wire_bytes_of(&session->account);
	run.session = wire_bytes_of(&session->id);
	run.partition = session->partition;
	run.first = session->next;
	run.frames = frames;
	run.opening = run.first == 0 ? opening : NULL;
	for (uint64_t n = run.first ? run.first : 1; run.n_frames < RUN_MOST && n <= FRAMES; n++) {
		rig_frame(t0 + (int64_t)n * 1000, 0, bytes[run.n_frames]);
		frames[run.n_frames] =
		        (ProtobufCBinaryData){ RIG_FRAME_BYTES, bytes[run.n_frames] };
		run.n_frames++;
	}
	items.n_sessions = 1;
	items.sessions = runs;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_ITEMS;
	request.items = &items;
	ask(client, &request);
	if (!client->reply)
		return false;
	cr_assert_geq(client->reply->items_taken->sessions[0]->next, session->next,
	              "an acknowledged frame was lost");
	session->next = client->reply->items_taken->sessions[0]->next;
	wire_free(&client->reply->base);
	return true;
}

static Publisher__PublisherReply *get_session(struct client *client, struct rig *signer,
                                              const struct rig_session *session)
{
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__GetSession get = PUBLISHER__GET_SESSION__INIT;
	char text[UUID_TEXT];

	uuid_text(&session->id, text);
	get.id = text;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_GET_SESSION;
	request.get_session = &get;
	request.principal = rig_principal(signer, &session->account, SCOPE_READ, NULL);
	ask(client, &request);
	wire_free(&request.principal->base);
	cr_assert(client->reply);
	return client->reply;
}

static void stop_loop(void *ctx)
{
	loop_stop(ctx);
}

/* What the last minute made is broadcast again by one that starts; but a subscriber that is not
 * connected again by then hears nothing. */
static void hear_a_broadcast(struct client *client, int wishes)
{
	for (int i = 0; client->broadcast == 0 && i < 20; i++) {
		struct timer timer = { 0 };

		cr_assert_eq(write(wishes, "k", 1), 1);
		timer_set(client->loop, &timer, 1000, stop_loop, client->loop);
		loop_run(client->loop);
	}
	cr_assert_gt(client->broadcast, 0);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	(void)stat;
	(void)type;
	(void)ftw;
	return remove(path);
}

Test(publisher_bus, loses_nothing_acknowledged_when_it_is_killed_again_and_again)
{
	struct rig signer = { 0 };
	struct client client = { 0 };
	struct rig_session session = { .device_id = "watch-1", .partition = 5 };
	struct bus_config config = { .directory = directory };
	Publisher__PublisherReply *detail;
	Publisher__Opening *opening;
	int wishes[2], kills = 0;
	pid_t supervisor;

	cr_assert(sodium_init() >= 0 && mkdtemp(directory) && pipe(wishes) == 0);
	supervisor = fork();
	if (supervisor == 0) {
		(void)close(wishes[1]);
		supervise(wishes[0]);
	}
	(void)close(wishes[0]);
	memcpy(signer.secret, secret, sizeof secret);
	session.account = uuid_new(clock_wall_ms());
	session.id = rig_id(5);
	opening = rig_opening(&signer, &session);
	client.loop = loop_new();
	cr_assert_eq(bus_open(client.loop, &config, &client.bus), OK);
	cr_assert_eq(bus_subscribe(client.bus, "publisher-0.insights", 1, on_insights, &client),
	             OK);

	for (int runs = 0; session.next <= FRAMES; runs++) {
		cr_assert_lt(runs, 200, "no progress");
		if (runs % 9 == 4) {
			cr_assert_eq(write(wishes[1], "k", 1), 1);
			kills++;
		}
		(void)send_run(&client, &session, opening, RIG_WALL_MS);
	}
	cr_assert_geq(kills, 3);
	detail = get_session(&client, &signer, &session);
	cr_assert_eq(detail->session->frames, FRAMES);
	cr_assert_str_eq(detail->session->status, "open");
	wire_free(&detail->base);
	hear_a_broadcast(&client, wishes[1]);

	wire_free(&opening->base);
	bus_close(client.bus);
	loop_free(client.loop);
	(void)close(wishes[1]);
	cr_assert_eq(waitpid(supervisor, NULL, 0), supervisor);
	cr_assert_eq(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}
