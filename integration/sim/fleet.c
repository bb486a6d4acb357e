#include "integration/sim/fleet.h"

#include "auth.pb-c.h"
#include "common/clock.h"
#include "common/frame.h"
#include "common/keys.h"
#include "common/principal.h"
#include "common/token.h"
#include "common/uuid.h"
#include "common/wire.h"
#include "integration/sim/check.h"
#include "integration/sim/simnet.h"
#include "integration/sim/world.h"
#include "publisher.pb-c.h"
#include "router.pb-c.h"
#include "services/auth/auth.h"
#include "services/edge/edge.h"
#include "services/publisher/publisher.h"
#include "services/router/router.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EDGES        2
#define PUBLISHERS   2
#define DEVICES      5
#define APPS         3
#define ACCOUNTS     2
#define KEYS_MOST    64
#define TOKENS_MOST  64
#define TOKEN_TTL    10 /* s: the shortest that there is */
#define CLIENTS_MOST 1024
#define LEASE_MS     2000
#define IDLE_MS      20000
#define PAUSE_MS     60000
#define SYNC_MS      3
#define CHAOS_US     20000000 /* faults happen in this time          */
#define SETTLE_US    60000000 /* then everything must come to rest   */
#define MUTE_US      12000000 /* a peer that never speaks: knock again */
#define ADMIN_MS     2000
#define FIRST_USE_US 8000 /* from a key's first use to its revoke */
#define GIVE_BACK_US 3000000
#define EXPIRE_MS    4000     /* a key that is given an end has it within this */
#define GRACE_US     10000000 /* an open socket is closed that long after its right ended */
#define TOKEN_US     1500000  /* between two tokens, on average */

struct fleet;

/* A key, or a token that a key has made. */
struct sim_key {
	struct fleet *fleet;
	const struct sim_key *parent; /* of a token; NULL: a key */
	char text[TOKEN_TEXT];
	char id[UUID_TEXT]; /* of a token its parent's */
	unsigned account;
	bool alive, asked;   /* revoke asked */
	int64_t answered_us; /* INT64_MAX: not revoked */
	/* Since the answer that took the right away; INT64_MAX: it has it. */
	int64_t no_ingest_us, no_subscribe_us;
	int64_t expires_us;       /* by the slowest clock; INT64_MAX: it does not */
	bool narrowed, narrowing; /* once; the answer is awaited */
};

enum patch { DISABLE, ONLY_SUBSCRIBE, ONLY_INGEST, EXPIRE, GIVE_BACK };

/* One connection, kept to the end: the checks look back at it. */
struct client {
	struct fleet *fleet;
	struct sim_key *key;
	struct peer *peer;
	struct device *device; /* NULL: an app */
	struct app *app;
	bool open, over;
	unsigned check; /* its number in check.c */
	int64_t since_us;
};

struct device {
	struct fleet *fleet;
	char name[16];
	unsigned account;
	struct client *client;
	bool ticking;
	/* It keeps its frames until they are acknowledged, and goes on with its session: */
	bool resumes;
	char session[UUID_TEXT]; /* "": it has none */
};

struct app {
	struct fleet *fleet;
	unsigned account;
	struct client *client;
};

struct edge_node {
	struct fleet *fleet;
	struct node *node;
	struct net *net;
	struct edge *edge;
	uint32_t slot;
};

struct publisher_node {
	struct fleet *fleet;
	struct node *node;
	struct publisher *publisher;
	unsigned number;
};

struct fleet {
	struct world *world;
	struct check *check;
	bool verbose, ending, healing;
	int64_t slow_ms; /* journals that are slow and sometimes answer conflict; 0: they are not */
	unsigned conflict_every;
	struct node *auth_node, *router_node, *admin;
	struct auth *auth;
	struct hasher *hasher;
	struct router *router;
	struct edge_node edge[EDGES];
	struct publisher_node publisher[PUBLISHERS];
	struct sim_key keys[KEYS_MOST], tokens[TOKENS_MOST];
	unsigned n_keys, minting[ACCOUNTS], n_tokens, making_tokens;
	struct client clients[CLIENTS_MOST];
	unsigned n_clients;
	struct device device[DEVICES];
	struct app app[APPS];
	char account[ACCOUNTS][UUID_TEXT];
	char model[ACCOUNTS][UUID_TEXT];
	bool ready[ACCOUNTS];
	struct fleet_result result;
};

static const uint8_t bus_secret[SECRET_BYTES] = { 1 }, digest_secret[SECRET_BYTES] = { 2 },
                     token_seed[SECRET_BYTES] = { 3 };

static void say(struct fleet *fleet, const char *format, ...)
{
	va_list args;

	if (!fleet->verbose)
		return;
	(void)fprintf(stderr, "%10.6f ", (double)world_now_us(fleet->world) / 1e6);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fprintf(stderr, "\n");
}

/* ---- the actors ---- */

static void start_auth(struct node *node, void *ctx)
{
	struct fleet *fleet = ctx;
	struct auth_deps deps = {
		.loop = node_loop(node),
		.bus = node_bus(node),
		.store = node_store(node),
		.process = "auth",
		.lease_ms = LEASE_MS,
	};

	fleet->hasher = hasher_new(node_loop(node), 0);
	deps.hasher = fleet->hasher;
	memcpy(deps.bus_secret, bus_secret, sizeof bus_secret);
	memcpy(deps.digest_secret, digest_secret, sizeof digest_secret);
	memcpy(deps.token_seed, token_seed, sizeof token_seed);
	MUST(auth_new(&deps, &fleet->auth) == OK);
	if (fleet->slow_ms > 0)
		journal_set_faults(auth_journal(fleet->auth), fleet->slow_ms,
		                   fleet->conflict_every);
}

static void stop_auth(struct node *node, void *ctx)
{
	struct fleet *fleet = ctx;

	(void)node;
	auth_free(TAKE(fleet->auth));
	hasher_free(TAKE(fleet->hasher));
}

static void start_router(struct node *node, void *ctx)
{
	struct fleet *fleet = ctx;
	const struct router_deps deps = {
		.loop = node_loop(node),
		.bus = node_bus(node),
		.store = node_store(node),
		.secret = bus_secret,
		.publishers = PUBLISHERS,
	};

	MUST(router_new(&deps, &fleet->router) == OK);
	if (fleet->slow_ms > 0)
		router_set_faults(fleet->router, fleet->slow_ms, fleet->conflict_every);
}

static void stop_router(struct node *node, void *ctx)
{
	struct fleet *fleet = ctx;

	(void)node;
	router_free(TAKE(fleet->router));
}

static void start_publisher(struct node *node, void *ctx)
{
	struct publisher_node *self = ctx;
	const struct publisher_deps deps = {
		.loop = node_loop(node),
		.bus = node_bus(node),
		.store = node_store(node),
		.secret = bus_secret,
		.number = self->number,
		.publishers = PUBLISHERS,
	};

	self->publisher = publisher_new(&deps);
	MUST(self->publisher != NULL);
}

static void stop_publisher(struct node *node, void *ctx)
{
	struct publisher_node *self = ctx;

	(void)node;
	publisher_free(TAKE(self->publisher));
}

static void on_taken(void *ctx, void *client, struct bytes message);
static void on_handed(void *ctx, void *client, struct bytes text);

static void start_edge(struct node *node, void *ctx)
{
	struct edge_node *self = ctx;
	const struct edge_settings settings = {
		.slot = self->slot,
		.publishers = PUBLISHERS,
		.idle_timeout_ms = IDLE_MS,
		.pause_most_ms = PAUSE_MS,
		.holds_slot_lock = true,
	};
	const struct net_watch watch = { on_taken, on_handed, self->fleet };

	self->edge = edge_new(&settings, node_loop(node), node_bus(node));
	self->net = simnet_new(node, &edge_net_events, self->edge, &watch);
	edge_set_net(self->edge, self->net);
}

static void stop_edge(struct node *node, void *ctx)
{
	struct edge_node *self = ctx;

	(void)node;
	check_edge_died(self->fleet->check, self->slot);
	net_free(TAKE(self->net));
	edge_free(TAKE(self->edge));
}

static void turn_edge(struct node *node, void *ctx)
{
	struct edge_node *self = ctx;

	(void)node;
	simnet_turn_end(self->net);
}

static void start_admin(struct node *node, void *ctx)
{
	(void)node;
	(void)ctx;
}

/* ---- what the checks see ---- */

/* A token may do what its key may. */
static bool was_over(const struct sim_key *key, bool ingests, int64_t at_us)
{
	return at_us > key->answered_us || at_us > key->expires_us ||
	       at_us > (ingests ? key->no_ingest_us : key->no_subscribe_us) ||
	       (key->parent && was_over(key->parent, ingests, at_us));
}

/* It was answered before now that its key may not do this any more, or its time is over. */
static bool is_over(const struct fleet *fleet, const struct client *client)
{
	return was_over(client->key, client->device, world_now_us(fleet->world));
}

static void on_taken(void *ctx, void *who, struct bytes message)
{
	struct client *client = who;
	struct fleet *fleet = ctx;
	struct frame frame;
	uint32_t serial;

	if (!client->device || !frame_parse(message, &frame) || frame.payload.len != sizeof serial)
		return;
	memcpy(&serial, frame.payload.data, sizeof serial);
	fleet->result.frames_taken++;
	check_taken(fleet->check, client->check, serial, is_over(fleet, client));
}

static void on_handed(void *ctx, void *who, struct bytes text)
{
	struct client *client = who;
	struct fleet *fleet = ctx;

	if (is_over(fleet, client))
		check_broken(fleet->check,
		             "P2: a byte left for key %s after it was answered that it may not: "
		             "%.*s",
		             client->key->id, (int)(text.len < 60 ? text.len : 60),
		             (const char *)text.data);
}

static void on_published(void *ctx, struct node *node, const char *name, struct bytes event)
{
	struct fleet *fleet = ctx;

	(void)node;
	if (strncmp(name, "publisher-", 10) == 0)
		check_published(fleet->check, name[10] - '0', event);
}

static void on_replied(void *ctx, struct node *node, const char *name, struct bytes request,
                       struct bytes reply)
{
	struct fleet *fleet = ctx;

	(void)node;
	(void)request;
	if (strncmp(name, "publisher-", 10) == 0)
		check_replied(fleet->check, reply);
}

/* ---- the operator ---- */

struct errand {
	struct fleet *fleet;
	unsigned account;
	struct sim_key *key;
	enum patch patch;
	bool may_be_refused;      /* that is an answer */
	bool ingests, subscribes; /* a token */
	int64_t expires_at;       /* of a key, wall ms */
	void (*done)(struct errand *errand, const ProtobufCMessage *reply);
	void (*again)(struct errand *errand);
	const ProtobufCMessageDescriptor *reply_type;
	struct uuid op_id;
};

static void run_again(void *ctx)
{
	struct errand *errand = ctx;

	if (errand->fleet->ending)
		mem_free(errand);
	else
		errand->again(errand);
}

static bool is_final(const struct errand *errand, const ProtobufCMessage *reply)
{
	return errand->may_be_refused && ((const Auth__AuthReply *)reply)->error->status < 500;
}

static void on_errand(void *ctx, enum err err, struct bytes data)
{
	struct errand *errand = ctx;
	ProtobufCMessage *reply = err == OK ? wire_unpack(errand->reply_type, data) : NULL;

	/* The first field of every reply is its error. */
	if (!reply || (((const Auth__AuthReply *)reply)->error && !is_final(errand, reply))) {
		world_at(errand->fleet->world, 200000, run_again, errand);
	} else {
		errand->done(errand, reply);
		mem_free(errand);
	}
	wire_free(reply);
}

static void send_errand(struct errand *errand, const char *name, const ProtobufCMessage *request)
{
	struct buf buf = { 0 };

	bus_request(node_bus(errand->fleet->admin), name, wire_pack(&buf, request), ADMIN_MS,
	            on_errand, errand);
	buf_free(&buf);
}

static struct errand *errand_new(struct fleet *fleet, void (*again)(struct errand *),
                                 void (*done)(struct errand *, const ProtobufCMessage *),
                                 const ProtobufCMessageDescriptor *reply_type)
{
	struct errand *errand = xcalloc(1, sizeof *errand);

	errand->fleet = fleet;
	errand->again = again;
	errand->done = done;
	errand->reply_type = reply_type;
	for (int i = 0; i < 16; i++)
		errand->op_id.byte[i] = (uint8_t)world_random(fleet->world, 256);
	return errand;
}

static void ask_admin(struct errand *errand, Auth__AdminRequest *request)
{
	request->has_op_id = 1;
	request->op_id = wire_bytes_of(&errand->op_id);
	send_errand(errand, "auth.admin", &request->base);
}

static void device_connect(struct device *device);
static void device_knock(struct device *device, struct sim_key *key);
static void app_connect(struct app *app);
static void mint(struct fleet *fleet, unsigned account);
static void revoke_key(void *ctx);

static bool use_now(struct fleet *fleet, struct sim_key *key)
{
	struct device *device = &fleet->device[world_random(fleet->world, DEVICES)];

	if (device->account != key->account || !fleet->ready[key->account] || fleet->healing)
		return false;
	device->client = NULL; /* the one before goes on until it is superseded */
	device_knock(device, key);
	return true;
}

/* A key used for the first time while it dies: its only verdict may come behind the notice. */
static void use_and_revoke(struct fleet *fleet, struct sim_key *key)
{
	if (use_now(fleet, key))
		world_at(fleet->world, (int64_t)world_random(fleet->world, FIRST_USE_US),
		         revoke_key, key);
}

/* The same of a token, whose key dies: the edge may know nothing of that key. */
static void use_token(struct fleet *fleet, struct sim_key *token)
{
	struct sim_key *key = &fleet->keys[token->parent - fleet->keys];

	if (use_now(fleet, token) && world_chance(fleet->world, 300))
		world_at(fleet->world, (int64_t)world_random(fleet->world, FIRST_USE_US),
		         revoke_key, key);
}

static void on_minted(struct errand *errand, const ProtobufCMessage *message)
{
	struct fleet *fleet = errand->fleet;
	const Auth__Key *minted = ((const Auth__AuthReply *)message)->key;
	struct sim_key *key = &fleet->keys[fleet->n_keys++];

	MUST(fleet->n_keys < KEYS_MOST);
	key->fleet = fleet;
	(void)snprintf(key->text, sizeof key->text, "%s", minted->key);
	(void)snprintf(key->id, sizeof key->id, "%s", minted->id);
	key->account = errand->account;
	key->alive = true;
	key->answered_us = key->no_ingest_us = key->no_subscribe_us = key->expires_us = INT64_MAX;
	fleet->minting[errand->account]--;
	say(fleet, "minted key %s for account %u", key->id, key->account);
	if (world_chance(fleet->world, 400))
		use_and_revoke(fleet, key);
}

static void ask_mint(struct errand *errand)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__MintKey mint_key = AUTH__MINT_KEY__INIT;

	mint_key.label = (char *)"sim";
	request.account = errand->fleet->account[errand->account];
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_MINT_KEY;
	request.mint_key = &mint_key;
	ask_admin(errand, &request);
}

static void mint(struct fleet *fleet, unsigned account)
{
	struct errand *errand;

	if (fleet->n_keys + fleet->minting[0] + fleet->minting[1] >= KEYS_MOST - 1)
		return;
	errand = errand_new(fleet, ask_mint, on_minted, &auth__auth_reply__descriptor);
	errand->account = account;
	fleet->minting[account]++;
	ask_mint(errand);
}

static void on_revoked(struct errand *errand, const ProtobufCMessage *message)
{
	const Auth__Receipt *receipt = ((const Auth__AuthReply *)message)->receipt;
	struct fleet *fleet = errand->fleet;

	errand->key->answered_us = world_now_us(fleet->world);
	fleet->result.revokes++;
	say(fleet, "revoke of %s answered: %u + %u sockets, %u of %u edges, %u ms", errand->key->id,
	    receipt->sockets_closed->ingest, receipt->sockets_closed->subscribe,
	    receipt->edges_acked, receipt->edges_total, receipt->elapsed_ms);
}

static void ask_revoke(struct errand *errand)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__RevokeKey revoke_key = AUTH__REVOKE_KEY__INIT;

	revoke_key.id = errand->key->id;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_REVOKE_KEY;
	request.revoke_key = &revoke_key;
	ask_admin(errand, &request);
}

static void revoke_key(void *ctx)
{
	struct sim_key *key = ctx;
	struct fleet *fleet = key->fleet;
	struct errand *errand;

	if (!key->alive || fleet->ending)
		return;
	key->alive = false;
	key->asked = true;
	say(fleet, "revoke %s", key->id);
	errand = errand_new(fleet, ask_revoke, on_revoked, &auth__auth_reply__descriptor);
	errand->key = key;
	ask_revoke(errand);
	mint(fleet, key->account);
}

static void revoke_one(struct fleet *fleet)
{
	if (fleet->n_keys > 0)
		revoke_key(&fleet->keys[world_random(fleet->world, fleet->n_keys)]);
}

static void patch_key(struct sim_key *key, enum patch patch);

static void give_back(void *ctx)
{
	struct sim_key *key = ctx;

	if (key->alive && !key->fleet->ending && !key->fleet->healing)
		patch_key(key, GIVE_BACK);
}

static void on_patched(struct errand *errand, const ProtobufCMessage *message)
{
	struct fleet *fleet = errand->fleet;
	struct sim_key *key = errand->key;

	key->narrowing = false;
	fleet->result.changes++;
	say(fleet, "change %d of %s answered", errand->patch, key->id);
	if (errand->patch == GIVE_BACK)
		return;
	if (errand->patch == EXPIRE) {
		key->expires_us =
		        world_slowest_us(((const Auth__AuthReply *)message)->key->expires_at);
		return;
	}
	if (errand->patch != ONLY_INGEST)
		key->no_ingest_us = world_now_us(fleet->world);
	if (errand->patch != ONLY_SUBSCRIBE)
		key->no_subscribe_us = world_now_us(fleet->world);
	world_at(fleet->world, (int64_t)world_random(fleet->world, GIVE_BACK_US), give_back, key);
}

/* A revoke may have been faster: then there is no such key. */
static void on_patch_reply(struct errand *errand, const ProtobufCMessage *message)
{
	if (((const Auth__AuthReply *)message)->error)
		errand->key->narrowing = false;
	else
		on_patched(errand, message);
}

static void ask_patch(struct errand *errand)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__PatchKey patch = AUTH__PATCH_KEY__INIT;
	char *scopes[] = { (char *)"subscribe", (char *)"ingest" };

	patch.id = errand->key->id;
	if (errand->patch == DISABLE) {
		patch.has_disabled = patch.disabled = true;
	} else if (errand->patch == EXPIRE) {
		patch.has_expires_at = true;
		patch.expires_at = errand->expires_at;
	} else if (errand->patch == GIVE_BACK) {
		patch.has_disabled = true;
		patch.scopes = scopes;
		patch.n_scopes = 2;
	} else {
		patch.scopes = errand->patch == ONLY_SUBSCRIBE ? scopes : scopes + 1;
		patch.n_scopes = 1;
	}
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_PATCH_KEY;
	request.patch_key = &patch;
	ask_admin(errand, &request);
}

/* A right is taken once and given back once: a late copy of the first is harmless then. */
static void patch_key(struct sim_key *key, enum patch patch)
{
	struct fleet *fleet = key->fleet;
	struct errand *errand =
	        errand_new(fleet, ask_patch, on_patch_reply, &auth__auth_reply__descriptor);

	say(fleet, "change %d of %s", patch, key->id);
	if (patch == GIVE_BACK)
		key->no_ingest_us = key->no_subscribe_us = INT64_MAX;
	errand->key = key;
	errand->patch = patch;
	errand->expires_at = clock_wall_ms() + 1 + (int64_t)world_random(fleet->world, EXPIRE_MS);
	errand->may_be_refused = true;
	key->narrowing = true;
	ask_patch(errand);
}

static void narrow_one(struct fleet *fleet)
{
	struct sim_key *key = &fleet->keys[world_random(fleet->world, fleet->n_keys)];

	if (fleet->n_keys == 0 || !key->alive || key->narrowed)
		return;
	key->narrowed = true;
	patch_key(key, (enum patch)world_random(fleet->world, GIVE_BACK));
	mint(fleet, key->account);
}

/* ---- tokens ---- */

static void use_token(struct fleet *fleet, struct sim_key *token);

static void on_token(struct errand *errand, const ProtobufCMessage *message)
{
	struct fleet *fleet = errand->fleet;
	const Auth__Token *made = ((const Auth__AuthReply *)message)->token;
	struct sim_key *token;

	fleet->making_tokens--;
	if (!made)
		return; /* its key may not, by now */
	token = &fleet->tokens[fleet->n_tokens++];
	token->fleet = fleet;
	token->parent = errand->key;
	token->account = errand->key->account;
	(void)snprintf(token->text, sizeof token->text, "%s", made->token);
	(void)snprintf(token->id, sizeof token->id, "%s", errand->key->id);
	token->answered_us = INT64_MAX;
	token->no_ingest_us = errand->ingests ? INT64_MAX : 0;
	token->no_subscribe_us = errand->subscribes ? INT64_MAX : 0;
	token->expires_us = world_slowest_us(made->expires_at);
	fleet->result.tokens++;
	say(fleet, "key %s made a token%s%s", token->id, errand->ingests ? " to ingest" : "",
	    errand->subscribes ? " to subscribe" : "");
	if (world_chance(fleet->world, 400))
		use_token(fleet, token);
}

static void ask_token(struct errand *errand)
{
	Auth__AuthRequest request = AUTH__AUTH_REQUEST__INIT;
	Auth__MintToken mint_token = AUTH__MINT_TOKEN__INIT;
	Raeh__Principal principal = RAEH__PRINCIPAL__INIT;
	char *scopes[2];
	struct uuid account, key;
	uint8_t mac[32];

	MUST(uuid_parse(errand->fleet->account[errand->key->account], &account));
	MUST(uuid_parse(errand->key->id, &key));
	principal.account = wire_bytes_of(&account);
	principal.key = wire_bytes_of(&key);
	principal.scopes = SCOPES_DEFAULT;
	principal_sign(&principal, bus_secret, mac);
	mint_token.scopes = scopes;
	if (errand->ingests)
		scopes[mint_token.n_scopes++] = (char *)"ingest";
	if (errand->subscribes)
		scopes[mint_token.n_scopes++] = (char *)"subscribe";
	mint_token.has_ttl_s = true;
	mint_token.ttl_s = TOKEN_TTL;
	request.principal = &principal;
	request.command_case = AUTH__AUTH_REQUEST__COMMAND_MINT_TOKEN;
	request.mint_token = &mint_token;
	send_errand(errand, "auth", &request.base);
}

static void make_token(struct fleet *fleet)
{
	struct sim_key *key = &fleet->keys[world_random(fleet->world, fleet->n_keys)];
	struct errand *errand;
	uint64_t what = world_random(fleet->world, 3);

	if (fleet->n_keys == 0 || !key->alive ||
	    fleet->n_tokens + fleet->making_tokens == TOKENS_MOST)
		return;
	errand = errand_new(fleet, ask_token, on_token, &auth__auth_reply__descriptor);
	errand->key = key;
	errand->may_be_refused = true;
	errand->ingests = what != 0;
	errand->subscribes = what != 1;
	fleet->making_tokens++;
	ask_token(errand);
}

static void token_time(void *ctx)
{
	struct fleet *fleet = ctx;

	if (fleet->healing)
		return;
	make_token(fleet);
	world_at(fleet->world, (int64_t)world_random(fleet->world, 2 * TOKEN_US), token_time,
	         fleet);
}

/* ---- the models ---- */

static void on_model(struct errand *errand, const ProtobufCMessage *message)
{
	struct fleet *fleet = errand->fleet;
	const Router__RouterReply *reply = (const Router__RouterReply *)message;

	(void)snprintf(fleet->model[errand->account], UUID_TEXT, "%s", reply->model->id);
	fleet->ready[errand->account] = true;
	for (unsigned i = 0; i < DEVICES; i++)
		if (fleet->device[i].account == errand->account)
			device_connect(&fleet->device[i]);
	for (unsigned i = 0; i < APPS; i++)
		if (fleet->app[i].account == errand->account)
			app_connect(&fleet->app[i]);
}

/* The operator has no principal; what a verdict would hold is made here with the secret. */
static void ask_model(struct errand *errand)
{
	Router__RouterRequest request = ROUTER__ROUTER_REQUEST__INIT;
	Router__CreateModel create = ROUTER__CREATE_MODEL__INIT;
	Router__ChannelSpec channel = ROUTER__CHANNEL_SPEC__INIT;
	Router__ChannelSpec *channels[] = { &channel };
	Raeh__Principal principal = RAEH__PRINCIPAL__INIT;
	struct uuid account;
	uint8_t mac[32];

	MUST(uuid_parse(errand->fleet->account[errand->account], &account));
	principal.account = wire_bytes_of(&account);
	principal.key = wire_bytes_of(&errand->op_id);
	principal.scopes = SCOPES_DEFAULT;
	principal_sign(&principal, bus_secret, mac);
	channel.modality = (char *)"ppg_green";
	channel.sample_rate_hz = 25;
	channel.has_bit_depth = 1;
	channel.bit_depth = 32;
	create.name = (char *)"watch";
	create.n_modality_channels = 1;
	create.modality_channels = channels;
	request.principal = &principal;
	request.has_op_id = 1;
	request.op_id = wire_bytes_of(&errand->op_id);
	request.command_case = ROUTER__ROUTER_REQUEST__COMMAND_CREATE_MODEL;
	request.create_model = &create;
	send_errand(errand, "router", &request.base);
}

static void on_account(struct errand *errand, const ProtobufCMessage *message)
{
	struct fleet *fleet = errand->fleet;
	const Auth__AuthReply *reply = (const Auth__AuthReply *)message;
	struct errand *next;

	(void)snprintf(fleet->account[errand->account], UUID_TEXT, "%s",
	               reply->account->account_id);
	mint(fleet, errand->account);
	mint(fleet, errand->account);
	next = errand_new(fleet, ask_model, on_model, &router__router_reply__descriptor);
	next->account = errand->account;
	ask_model(next);
}

static void ask_account(struct errand *errand)
{
	Auth__AdminRequest request = AUTH__ADMIN_REQUEST__INIT;
	Auth__CreateAccount create = AUTH__CREATE_ACCOUNT__INIT;
	char email[32];

	(void)snprintf(email, sizeof email, "owner%u@example.com", errand->account);
	create.email = email;
	request.command_case = AUTH__ADMIN_REQUEST__COMMAND_CREATE_ACCOUNT;
	request.create_account = &create;
	ask_admin(errand, &request);
}

/* ---- devices and apps ---- */

/* Now and then one that is dead: a reconnect that races its end. */
static bool is_usable(struct fleet *fleet, const struct sim_key *key)
{
	if (key->parent)
		return (key->parent->alive && world_now_us(fleet->world) < key->expires_us) ||
		       world_chance(fleet->world, 100);
	if (key->alive && world_now_us(fleet->world) < key->expires_us)
		return true;
	return (key->asked || key->alive) && world_chance(fleet->world, 100);
}

static struct sim_key *pick_of(struct fleet *fleet, struct sim_key *keys, unsigned n,
                               unsigned account)
{
	struct sim_key *found = NULL;
	unsigned seen = 0;

	for (unsigned i = 0; i < n; i++)
		if (keys[i].account == account && is_usable(fleet, &keys[i]) &&
		    world_random(fleet->world, ++seen) == 0)
			found = &keys[i];
	return found;
}

static struct sim_key *pick_key(struct fleet *fleet, unsigned account)
{
	struct sim_key *token = NULL;

	if (world_chance(fleet->world, 400))
		token = pick_of(fleet, fleet->tokens, fleet->n_tokens, account);
	return token ? token : pick_of(fleet, fleet->keys, fleet->n_keys, account);
}

static void leave(struct client *client)
{
	if (client->over)
		return;
	client->over = true;
	peer_close(client->peer);
}

static void reconnect_device(void *ctx)
{
	device_connect(ctx);
}

static void reconnect_app(void *ctx)
{
	app_connect(ctx);
}

static void later(struct client *client, int64_t least_us, int64_t most_us)
{
	struct fleet *fleet = client->fleet;
	int64_t delay =
	        least_us + (int64_t)world_random(fleet->world, (uint64_t)(most_us - least_us));

	if (client->device && client->device->client == client) {
		client->device->client = NULL;
		world_at(fleet->world, delay, reconnect_device, client->device);
	} else if (client->app && client->app->client == client) {
		client->app->client = NULL;
		world_at(fleet->world, delay, reconnect_app, client->app);
	}
}

static void on_peer_closed(void *ctx, int code)
{
	struct client *client = ctx;

	say(client->fleet, "%s client %u closed with %d",
	    client->device ? client->device->name : "app", client->check, code);
	client->over = true;
	if (client->app)
		check_app_left(client->fleet->check, client->check);
	if (code == 4004)
		client->device->session[0] = '\0'; /* there is a newer one, or it ended long ago */
	if (code == 4009)
		later(client, 1000000, 4000000);
	else
		later(client, 20000, 800000);
}

static void tick(void *ctx);

static void send_frame(struct client *client, uint32_t serial)
{
	struct frame frame = { .slot_id = 0,
		               .sample_count = 1,
		               .t0_epoch_ms = 1700000000000 + serial };
	uint8_t message[FRAME_HEAD_BYTES + sizeof serial];

	frame_head(&frame, message);
	memcpy(message + FRAME_HEAD_BYTES, &serial, sizeof serial);
	peer_send(client->peer, BYTES(message, sizeof message));
}

static void tick(void *ctx)
{
	struct device *device = ctx;
	struct fleet *fleet = device->fleet;
	struct client *client = device->client;

	if (fleet->ending || fleet->healing)
		return;
	if (client && client->open && !client->over) {
		unsigned burst = world_chance(fleet->world, 20) ? 20 : 1;

		while (burst-- > 0)
			send_frame(client, check_new_frame(fleet->check, client->check));
		if (world_chance(fleet->world,
		                 device->resumes ? 25 : 8)) { /* out of range, or a second one
			                                         before the first ends */
			struct client *old = client;

			if (world_chance(fleet->world, 500))
				leave(old);
			device->client = NULL;
			device_connect(device);
		}
	} else if (client && !client->over &&
	           world_now_us(fleet->world) - client->since_us > MUTE_US) {
		leave(client);
		later(client, 1000, 2000);
	}
	world_at(fleet->world, 40000 + (int64_t)world_random(fleet->world, 160000), tick, device);
}

/* What stands behind `name`; false: it is not there. */
static bool number_behind(struct bytes text, const char *name, uint64_t *ret)
{
	const char *at = memmem(text.data, text.len, name, strlen(name));

	if (at)
		*ret = strtoull(at + strlen(name), NULL, 10);
	return at != NULL;
}

/* Sends again what was not acknowledged; now and then a device has lost that. */
static void go_on_behind(struct client *client, uint64_t acked)
{
	struct fleet *fleet = client->fleet;
	uint32_t serial;

	fleet->result.resumed++;
	if (world_chance(fleet->world, 300))
		check_lose_kept(fleet->check, client->check, acked);
	for (uint64_t n = acked; check_kept(fleet->check, client->check, n, &serial); n++)
		send_frame(client, serial);
}

static void on_device_text(void *ctx, struct bytes text)
{
	struct client *client = ctx;
	struct device *device = client->device;
	const char *id = memmem(text.data, text.len, "\"session_id\":\"", 14);
	uint64_t n;

	if (!id) {
		if (number_behind(text, "\"ack\":", &n))
			check_acked(client->fleet->check, client->check, n);
		return;
	}
	if (memmem(text.data, text.len, "\"resumed\":true", 14)) {
		if (device->client != client || !number_behind(text, "\"acked\":", &n)) {
			check_resumed_late(client->fleet->check, id + 14);
			return;
		}
		client->open = true;
		say(client->fleet, "%s client %u resumed behind %" PRIu64 ", session %.36s",
		    device->name, client->check, n, id + 14);
		check_resumed(client->fleet->check, client->check, id + 14, n);
		go_on_behind(client, n);
		return;
	}
	client->open = true;
	client->fleet->result.sessions++;
	check_session(client->fleet->check, client->check, id + 14, device->resumes);
	if (device->resumes && device->client == client)
		(void)snprintf(device->session, sizeof device->session, "%.36s", id + 14);
	say(client->fleet, "%s client %u open, session %.36s", client->device->name, client->check,
	    id + 14);
}

static void on_app_text(void *ctx, struct bytes text)
{
	struct client *client = ctx;

	client->open = true;
	if (memmem(text.data, text.len, "\"sqi_class\"", 11)) {
		client->fleet->result.heard++;
		check_heard(client->fleet->check, client->check, client->app->account, text);
	}
}

static struct client *client_new(struct fleet *fleet, struct sim_key *key)
{
	struct client *client = &fleet->clients[fleet->n_clients];

	client->fleet = fleet;
	client->key = key;
	client->check = fleet->n_clients++;
	client->since_us = world_now_us(fleet->world);
	return client;
}

static void knock(struct client *client, enum net_endpoint endpoint, const char *query,
                  const struct peer_events *events)
{
	struct fleet *fleet = client->fleet;
	struct edge_node *edge = &fleet->edge[world_random(fleet->world, EDGES)];

	if (node_state(edge->node) == NODE_DOWN)
		edge = &fleet->edge[1 - edge->slot];
	if (node_state(edge->node) != NODE_UP) {
		client->over = true;
		later(client, 50000, 300000);
		return;
	}
	if (client->device)
		check_client(fleet->check, client->check, client->device - fleet->device,
		             edge->slot);
	client->peer = simnet_connect(edge->net, endpoint, query, events, client);
}

static void device_knock(struct device *device, struct sim_key *key)
{
	static const struct peer_events events = { on_device_text, on_peer_closed };
	struct fleet *fleet = device->fleet;
	char query[TOKEN_TEXT + 256];
	int len;

	if (fleet->n_clients == CLIENTS_MOST) {
		world_at(fleet->world, 200000, reconnect_device, device);
		return;
	}
	device->client = client_new(fleet, key);
	device->client->device = device;
	len = snprintf(query, sizeof query, "api_key=%s&device_id=%s&device_model_id=%s%s",
	               key->text, device->name, fleet->model[device->account],
	               device->resumes ? "&ack=1" : "");
	if (device->session[0] && world_chance(fleet->world, 900)) {
		(void)snprintf(query + len, sizeof query - (size_t)len, "&resume=%s",
		               device->session);
		check_resume_asked(fleet->check, device->client->check, device->session);
	}
	knock(device->client, NET_INGEST, query, &events);
	if (!device->ticking)
		world_at(fleet->world, 50000, tick, device);
	device->ticking = true;
}

static void device_connect(struct device *device)
{
	struct fleet *fleet = device->fleet;
	struct sim_key *key = pick_key(fleet, device->account);

	if (fleet->ending || fleet->healing || device->client)
		return;
	if (key)
		device_knock(device, key);
	else
		world_at(fleet->world, 200000, reconnect_device, device);
}

static void app_connect(struct app *app)
{
	static const struct peer_events events = { on_app_text, on_peer_closed };
	struct fleet *fleet = app->fleet;
	struct sim_key *key = pick_key(fleet, app->account);
	char query[TOKEN_TEXT + 16];

	if (fleet->ending || app->client)
		return;
	if (!key || fleet->n_clients == CLIENTS_MOST) {
		world_at(fleet->world, 200000, reconnect_app, app);
		return;
	}
	app->client = client_new(fleet, key);
	app->client->app = app;
	(void)snprintf(query, sizeof query, "api_key=%s", key->text);
	knock(app->client, NET_SUBSCRIBE, query, &events);
}

/* ---- faults ---- */

static struct node *any_node(struct fleet *fleet)
{
	struct node *nodes[] = { fleet->auth_node,         fleet->router_node,
		                 fleet->publisher[0].node, fleet->publisher[1].node,
		                 fleet->edge[0].node,      fleet->edge[1].node };

	return nodes[world_random(fleet->world, ARRAY_LEN(nodes))];
}

static void start_again(void *ctx)
{
	node_start(ctx);
}

static void go_on(void *ctx)
{
	struct node *node = ctx;

	if (node_state(node) == NODE_PAUSED)
		node_pause(node, false);
}

static int64_t some_us(struct fleet *fleet, int64_t most_us)
{
	int64_t scale = most_us;

	for (uint64_t n = world_random(fleet->world, 3); n > 0; n--)
		scale /= 8; /* short faults are as likely as long ones */
	return 1000 + (int64_t)world_random(fleet->world, (uint64_t)scale);
}

static void fault(void *ctx)
{
	struct fleet *fleet = ctx;
	struct world *world = fleet->world;
	struct node *node = any_node(fleet), *other = any_node(fleet);
	int64_t for_us = some_us(fleet, 5000000);

	if (fleet->healing)
		return;
	if (!fleet->ready[0] || !fleet->ready[1]) {
		world_at(world, 100000, fault, fleet);
		return;
	}
	switch (world_random(world, 7)) {
	case 0:
	case 1:
		say(fleet, "kill %s for %" PRId64 " us", node_name(node), for_us);
		node_kill(node);
		fleet->result.crashes++;
		world_at(world, for_us, start_again, node);
		break;
	case 2:
		say(fleet, "power cut of %s for %" PRId64 " us", node_name(node), for_us);
		node_power(node);
		fleet->result.crashes++;
		world_at(world, for_us, start_again, node);
		break;
	case 3:
		say(fleet, "stop %s for %" PRId64 " us", node_name(node), for_us);
		node_pause(node, true);
		world_at(world, for_us, go_on, node);
		break;
	case 4:
		if (node != other) {
			say(fleet, "cut %s from %s for %" PRId64 " us", node_name(node),
			    node_name(other), for_us);
			node_cut(node, other, for_us);
		}
		break;
	case 5:
		narrow_one(fleet);
		break;
	default:
		revoke_one(fleet);
	}
	world_at(world, 50000 + (int64_t)world_random(world, 1500000), fault, fleet);
}

/* ---- a schedule ---- */

static void build(struct fleet *fleet)
{
	static const struct node_ops auth_ops = { start_auth, stop_auth, NULL };
	static const struct node_ops router_ops = { start_router, stop_router, NULL };
	static const struct node_ops publisher_ops = { start_publisher, stop_publisher, NULL };
	static const struct node_ops edge_ops = { start_edge, stop_edge, turn_edge };
	static const struct node_ops admin_ops = { start_admin, start_admin, NULL };
	char name[32];

	fleet->auth_node = node_add(fleet->world, "auth", &auth_ops, fleet, SYNC_MS);
	fleet->router_node = node_add(fleet->world, "router", &router_ops, fleet, SYNC_MS);
	for (unsigned i = 0; i < PUBLISHERS; i++) {
		fleet->publisher[i].fleet = fleet;
		fleet->publisher[i].number = i;
		(void)snprintf(name, sizeof name, "publisher-%u", i);
		fleet->publisher[i].node =
		        node_add(fleet->world, name, &publisher_ops, &fleet->publisher[i], SYNC_MS);
	}
	for (unsigned i = 0; i < EDGES; i++) {
		fleet->edge[i].fleet = fleet;
		fleet->edge[i].slot = i;
		(void)snprintf(name, sizeof name, "edge-%u", i);
		fleet->edge[i].node =
		        node_add(fleet->world, name, &edge_ops, &fleet->edge[i], SYNC_MS);
	}
	fleet->admin = node_add(fleet->world, "admin", &admin_ops, fleet, SYNC_MS);
}

static void start_all(struct fleet *fleet)
{
	node_start(fleet->auth_node);
	node_start(fleet->router_node);
	for (unsigned i = 0; i < PUBLISHERS; i++)
		node_start(fleet->publisher[i].node);
	for (unsigned i = 0; i < EDGES; i++)
		node_start(fleet->edge[i].node);
	node_start(fleet->admin);
}

static void populate(struct fleet *fleet)
{
	for (unsigned i = 0; i < DEVICES; i++) {
		fleet->device[i].fleet = fleet;
		fleet->device[i].account = i == DEVICES - 1;
		fleet->device[i].resumes = i % 2 == 1;
		(void)snprintf(fleet->device[i].name, sizeof fleet->device[i].name, "watch-%u", i);
	}
	for (unsigned i = 0; i < APPS; i++) {
		fleet->app[i].fleet = fleet;
		fleet->app[i].account = i == APPS - 1;
	}
	for (unsigned i = 0; i < ACCOUNTS; i++) {
		struct errand *errand =
		        errand_new(fleet, ask_account, on_account, &auth__auth_reply__descriptor);

		errand->account = i;
		ask_account(errand);
	}
}

/* No more faults; devices go home; what is due must happen. */
static void heal(struct fleet *fleet)
{
	struct node *nodes[] = { fleet->auth_node,         fleet->router_node,
		                 fleet->publisher[0].node, fleet->publisher[1].node,
		                 fleet->edge[0].node,      fleet->edge[1].node };

	fleet->healing = true;
	say(fleet, "heal");
	for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
		node_start(nodes[i]);
		go_on(nodes[i]);
	}
	for (unsigned i = 0; i < fleet->n_clients; i++)
		if (fleet->clients[i].device && fleet->clients[i].peer)
			leave(&fleet->clients[i]);
}

static void check_keys(struct fleet *fleet)
{
	for (unsigned i = 0; i < fleet->n_keys; i++)
		if (fleet->keys[i].asked && fleet->keys[i].answered_us == INT64_MAX)
			check_broken(fleet->check, "P7: the revoke of key %s was never answered",
			             fleet->keys[i].id);
	for (unsigned i = 0; i < fleet->n_keys; i++)
		if (fleet->keys[i].narrowing)
			check_broken(fleet->check, "P7: a change of key %s was never answered",
			             fleet->keys[i].id);
	for (unsigned i = 0; i < ACCOUNTS; i++)
		if (!fleet->ready[i])
			check_broken(fleet->check, "P7: account %u was never ready", i);
}

static void check_sockets(struct fleet *fleet)
{
	int64_t by_us = world_now_us(fleet->world) - GRACE_US;

	for (unsigned i = 0; i < fleet->n_clients; i++) {
		const struct client *client = &fleet->clients[i];

		if (client->open && !client->over && was_over(client->key, client->device, by_us))
			check_broken(fleet->check,
			             "P8: client %u stays open, though the right of its %s %s "
			             "has ended",
			             i, client->key->parent ? "token of key" : "key",
			             client->key->id);
	}
}

static void check_rest(struct fleet *fleet)
{
	check_keys(fleet);
	check_sockets(fleet);
	for (unsigned i = 0; i < PUBLISHERS; i++)
		check_publisher_store(fleet->check, node_store(fleet->publisher[i].node));
	check_router_store(fleet->check, node_store(fleet->router_node));
	for (unsigned i = 0; i < EDGES; i++)
		if (uplinks_count(fleet->edge[i].edge->uplinks) > 0 ||
		    !list_empty(&fleet->edge[i].edge->closings))
			check_broken(fleet->check, "P7: edge %u still holds sessions", i);
	check_frames(fleet->check);
}

struct fleet_result fleet_play(uint64_t seed, bool verbose)
{
	struct fleet *fleet = xcalloc(1, sizeof *fleet);
	struct network network = { .least_us = 50, .most_us = 3000, .late_most_us = 3000000 };
	struct fleet_result result;

	fleet->verbose = verbose;
	fleet->world = world_new(seed, &network);
	/* From a good network to one that loses a tenth. */
	network.lost = (unsigned)world_random(fleet->world, 100);
	network.repeated = (unsigned)world_random(fleet->world, 100);
	network.late = (unsigned)world_random(fleet->world, 30);
	world_set_network(fleet->world, &network);
	if (world_chance(fleet->world, 300)) {
		fleet->slow_ms = 1 + (int64_t)world_random(fleet->world, 60);
		fleet->conflict_every = (unsigned)world_random(fleet->world, 6) + 2;
	}
	fleet->check = check_new();
	world_set_taps(fleet->world, &(struct world_taps){ on_published, on_replied, fleet });
	build(fleet);
	start_all(fleet);
	populate(fleet);
	world_at(fleet->world, 1000000, fault, fleet);
	world_at(fleet->world, 1000000, token_time, fleet);
	world_run(fleet->world, CHAOS_US);
	heal(fleet);
	world_run(fleet->world, CHAOS_US + SETTLE_US);
	check_rest(fleet);
	fleet->ending = true;
	for (unsigned i = 0; i < fleet->n_clients; i++)
		if (fleet->clients[i].peer)
			peer_forget(fleet->clients[i].peer);
	world_free(fleet->world);
	check_sum(fleet->check, &fleet->result);
	result = fleet->result;
	check_free(fleet->check);
	mem_free(fleet);
	return result;
}
