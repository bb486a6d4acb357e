#include "services/auth/impact.h"

#include "services/auth/commands.h"
#include "services/auth/edges.h"
#include "services/auth/revoke.h"

#include <stdio.h>
#include <string.h>

struct inquiry;

struct impact {
	TAILQ_ENTRY(impact) link;
	TAILQ_HEAD(, inquiry) inquiries;
	struct auth *auth;
	struct bus_call *call;
	struct uuid account, key;
	size_t pending;
	Auth__Impact *answer; /* grows */
};

/* One edge that was asked. */
struct inquiry {
	TAILQ_ENTRY(inquiry) link;
	struct impact *impact;
	uint32_t slot;
};

static void impact_free(struct impact *impact)
{
	struct inquiry *inquiry;

	TAILQ_REMOVE(&impact->auth->impacts, impact, link);
	impact->auth->n_impacts--;
	while ((inquiry = TAILQ_FIRST(&impact->inquiries))) { /* auth ends: nobody calls back */
		TAILQ_REMOVE(&impact->inquiries, inquiry, link);
		mem_free(inquiry);
	}
	wire_free(&impact->answer->base);
	mem_free(impact);
}

static void add_text(char ***list, size_t *n, const char *text)
{
	*list = xrealloc(*list, *n + 1, sizeof **list);
	(*list)[(*n)++] = xstrdup(text);
}

static void add_children(struct impact *impact)
{
	struct store *store = impact->auth->store;
	AUTO(scan_close)
	struct store_scan *scan = rows_scan_children(store, &impact->account, &impact->key);
	struct uuid id;
	char text[UUID_TEXT];

	while (impact->answer->n_children < CHILDREN_LISTED && rows_next_id(scan, &id)) {
		AUTO(wire_free) ProtobufCMessage *row = NULL;

		if (rows_key(store, &impact->account, &id, (Events__KeyRow **)&row) != OK)
			continue;
		uuid_text(&id, text);
		add_text(&impact->answer->children, &impact->answer->n_children, text);
	}
}

static void conclude(struct impact *impact)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__Key key = AUTH__KEY__INIT;

	key.id = impact->answer->id;
	show_last_use(impact->auth, &impact->account, &key);
	impact->answer->has_last_used_at = key.has_last_used_at;
	impact->answer->last_used_at = key.last_used_at;
	mem_free(key.last_used_address);
	mem_free(key.last_used_agent);
	add_children(impact);
	reply.result_case = AUTH__AUTH_REPLY__RESULT_IMPACT;
	reply.impact = impact->answer;
	core_answer(impact->auth, TAKE(impact->call), &reply);
	impact_free(impact);
}

static bool has_device(const Auth__Impact *answer, const char *device)
{
	for (size_t i = 0; i < answer->n_devices; i++)
		if (strcmp(answer->devices[i], device) == 0)
			return true;
	return false;
}

static void take(struct impact *impact, uint32_t slot, const Edge__EdgeReply *reply)
{
	Auth__Impact *answer = impact->answer;
	Auth__EdgeSockets *edge = xcalloc(1, sizeof *edge);

	auth__edge_sockets__init(edge);
	edge->slot = slot;
	edge->ingest = reply->sockets->ingest;
	edge->subscribe = reply->sockets->subscribe;
	answer->edges = xrealloc(answer->edges, answer->n_edges + 1, sizeof(Auth__EdgeSockets *));
	answer->edges[answer->n_edges++] = edge;
	answer->sockets->ingest += edge->ingest;
	answer->sockets->subscribe += edge->subscribe;
	for (size_t i = 0; i < reply->n_devices; i++)
		if (!has_device(answer, reply->devices[i]))
			add_text(&answer->devices, &answer->n_devices, reply->devices[i]);
}

static void on_answer(void *self, enum err err, struct bytes bytes)
{
	struct inquiry *inquiry = self;
	struct impact *impact = inquiry->impact;
	AUTO(wire_free)
	ProtobufCMessage *message =
	        err == OK ? wire_unpack(&edge__edge_reply__descriptor, bytes) : NULL;
	const Edge__EdgeReply *reply = (const Edge__EdgeReply *)message;

	if (reply && !reply->error && reply->sockets)
		take(impact, inquiry->slot, reply);
	else
		impact->answer->edges_silent++;
	TAILQ_REMOVE(&impact->inquiries, inquiry, link);
	mem_free(inquiry);
	if (--impact->pending == 0)
		conclude(impact);
}

static void ask(struct impact *impact, const struct edge *edge)
{
	struct inquiry *inquiry = xcalloc(1, sizeof *inquiry);
	Edge__EdgeRequest request = EDGE__EDGE_REQUEST__INIT;
	Edge__SocketsOf sockets = EDGE__SOCKETS_OF__INIT;
	char name[BUS_NAME_MAX];
	struct buf buf = { 0 };

	inquiry->impact = impact;
	inquiry->slot = edge->slot;
	TAILQ_INSERT_TAIL(&impact->inquiries, inquiry, link);
	sockets.key = wire_bytes_of(&impact->key);
	request.incarnation = wire_bytes_of(&edge->incarnation);
	request.command_case = EDGE__EDGE_REQUEST__COMMAND_SOCKETS_OF;
	request.sockets_of = &sockets;
	(void)snprintf(name, sizeof name, "edge-%u", edge->slot);
	impact->pending++;
	bus_request(impact->auth->bus, name, wire_pack(&buf, &request.base), IMPACT_MS, on_answer,
	            inquiry);
	buf_free(&buf);
}

static Auth__Impact *answer_new(const struct uuid *key)
{
	Auth__Impact *answer = xcalloc(1, sizeof *answer);
	Auth__SocketsClosed *sockets = xcalloc(1, sizeof *sockets);

	auth__impact__init(answer);
	auth__sockets_closed__init(sockets);
	answer->sockets = sockets;
	answer->id = xcalloc(1, UUID_TEXT);
	uuid_text(key, answer->id);
	return answer;
}

void impact_wanted(struct auth *auth, struct bus_call *call, const struct uuid *account,
                   const char *text)
{
	struct refusal why = refusal(404, DETAIL_NO_SUCH_KEY);
	AUTO(wire_free) ProtobufCMessage *row = NULL;
	struct uuid key, owner;
	struct impact *impact;
	struct edge *edge;
	enum err err =
	        uuid_parse(text, &key) ? rows_owner(auth->store, &key, &owner) : ERR_NOT_FOUND;

	if (err == OK && account && !uuid_equal(account, &owner))
		err = ERR_NOT_FOUND;
	if (err == OK)
		err = rows_key(auth->store, &owner, &key, (Events__KeyRow **)&row);
	if (err != OK || auth->n_impacts >= IMPACTS_MOST) {
		why = err != OK ? refusal_of(err, why)
		                : REFUSAL_AWAY("too many such questions are under way");
		core_refuse(auth, call, &why);
		return;
	}
	impact = xcalloc(1, sizeof *impact);
	TAILQ_INIT(&impact->inquiries);
	impact->auth = auth;
	impact->call = call;
	impact->account = owner;
	impact->key = key;
	impact->answer = answer_new(&key);
	TAILQ_INSERT_TAIL(&auth->impacts, impact, link);
	auth->n_impacts++;
	lease_check(auth);
	impact->pending = 1;
	TAILQ_FOREACH(edge, &auth->leases.edges, link)
	if (edge->live && !edge->ended)
		ask(impact, edge);
	if (--impact->pending == 0)
		conclude(impact);
}

void impacts_done(struct auth *auth)
{
	struct impact *impact;

	while ((impact = TAILQ_FIRST(&auth->impacts))) {
		bus_drop(impact->call);
		impact_free(impact);
	}
}
