#include "services/auth/group.h"

#include "common/map.h"
#include "services/auth/revoke.h"

#include <string.h>

#define SLICE_ROWS 256
#define ASYNC_MS   2 /* between two looks whether the revokes are durable */

struct member {
	struct bus_call call; /* first: what the revoke of this key answers */
	struct map_node by_id;
	TAILQ_ENTRY(member) wait, expand;
	struct group *group;
	struct uuid id;
	bool is_root, expands;
	Auth__Receipt *receipt; /* of a root */
};
TAILQ_HEAD(members, member);

struct group {
	TAILQ_ENTRY(group) link;
	struct auth *auth;
	struct bus_call *call; /* NULL: answered */
	struct caller caller;
	struct uuid account;
	char *external_id; /* of a filter; NULL: one root */
	bool cascade, async;
	struct map by_id;
	struct members waiting, expanding, roots; /* roots: by wait, once started */
	size_t in_air, n_children;
	struct store_scan *scan;
	bool scans_roots;
	char **children; /* CHILDREN_LISTED of them */
	struct buf refusal;
	struct timer timer;
};

static void step_soon(struct group *group, int64_t delay_ms);

/* ---- members ---- */

static void on_reply(struct bus_call *call, struct bytes bytes)
{
	struct member *member = (struct member *)call;
	struct group *group = member->group;
	ProtobufCMessage *message = wire_unpack(&auth__auth_reply__descriptor, bytes);
	Auth__AuthReply *reply = (Auth__AuthReply *)message;

	MUST(reply != NULL); /* our own */
	group->in_air--;
	if (reply->error && (reply->error->status != 404 || !group->external_id) &&
	    group->refusal.len == 0)
		buf_append(&group->refusal, bytes.data, bytes.len);
	if (member->is_root && reply->receipt && !reply->error)
		member->receipt = TAKE(reply->receipt);
	if (group->cascade && !reply->error && !member->expands) {
		member->expands = true;
		TAILQ_INSERT_TAIL(&group->expanding, member, expand);
	}
	wire_free(message);
	step_soon(group, 0);
}

/* Too many wait for this receipt, or auth ends: who asked asks again. */
static void on_drop(struct bus_call *call)
{
	struct group *group = ((struct member *)call)->group;

	group->in_air--;
	if (group->call)
		bus_drop(TAKE(group->call));
	if (group->auth->journal)
		step_soon(group, 0);
}

static const struct bus_ops member_ops = { .reply = on_reply, .drop = on_drop };

static void add(struct group *group, const struct uuid *id, bool is_root)
{
	struct member *member = MAP_OWNER(map_find(&group->by_id, id), struct member, by_id);

	if (member)
		return;
	member = xcalloc(1, sizeof *member);
	member->call.ops = &member_ops;
	member->group = group;
	member->id = *id;
	member->is_root = is_root;
	map_add(&group->by_id, &member->by_id, &member->id);
	TAILQ_INSERT_TAIL(&group->waiting, member, wait);
	if (group->cascade) {
		member->expands = true;
		TAILQ_INSERT_TAIL(&group->expanding, member, expand);
	}
	if (!is_root && group->n_children < CHILDREN_LISTED) {
		group->children[group->n_children] = xcalloc(1, UUID_TEXT);
		uuid_text(id, group->children[group->n_children++]);
	}
}

/* ---- looking for them ---- */

static bool has_external_id(const struct group *group, const struct uuid *id)
{
	AUTO(wire_free) ProtobufCMessage *row = NULL;
	const Auth__Key *key;

	if (revokes_has(group->auth->revokes, id))
		return true; /* its receipt is waited for */
	if (rows_key(group->auth->store, &group->account, id, (Events__KeyRow **)&row) != OK)
		return false;
	key = ((const Events__KeyRow *)row)->key;
	return key->external_id && strcmp(key->external_id, group->external_id) == 0;
}

static void scan_some(struct group *group)
{
	struct uuid id;

	for (int i = 0; i < SLICE_ROWS; i++) {
		if (!rows_next_id(group->scan, &id)) {
			if (scan_err(group->scan) != OK && group->refusal.len == 0) {
				struct refusal why = REFUSAL_AWAY("the keys cannot be read");

				refusal_pack(&why, &group->refusal);
			}
			scan_close(TAKE(group->scan));
			group->scans_roots = false;
			return;
		}
		if (!group->scans_roots || has_external_id(group, &id))
			add(group, &id, group->scans_roots);
	}
}

static void look_for_more(struct group *group)
{
	struct member *member = TAILQ_FIRST(&group->expanding);

	if (!group->scan && member) {
		TAILQ_REMOVE(&group->expanding, member, expand);
		member->expands = false;
		group->scan = rows_scan_children(group->auth->store, &group->account, &member->id);
	}
	if (group->scan)
		scan_some(group);
}

/* ---- the answer ---- */

static void answer(struct group *group, Auth__AuthReply *reply)
{
	core_answer(group->auth, TAKE(group->call), reply);
}

static void answer_receipts(struct group *group, Auth__Receipt **items, size_t n, bool pending)
{
	Auth__AuthReply reply = AUTH__AUTH_REPLY__INIT;
	Auth__ReceiptList list = AUTH__RECEIPT_LIST__INIT;

	reply.has_pending = reply.pending = pending;
	list.n_items = n;
	list.items = items;
	reply.result_case = AUTH__AUTH_REPLY__RESULT_RECEIPTS;
	reply.receipts = &list;
	if (!group->external_id) {
		MUST(n == 1);
		reply.result_case = AUTH__AUTH_REPLY__RESULT_RECEIPT;
		reply.receipt = items[0];
	}
	answer(group, &reply);
}

/* The receipt names those that went with its key, not those that it found living. */
static void answer_cascade(struct group *group, Auth__Receipt *receipt)
{
	size_t n = receipt->n_children;
	char **living = receipt->children;

	receipt->n_children = group->n_children;
	receipt->children = group->children;
	answer_receipts(group, &receipt, 1, false);
	receipt->n_children = n;
	receipt->children = living;
}

static void conclude(struct group *group)
{
	Auth__Receipt **items;
	struct member *member;
	size_t n = 0;

	if (group->refusal.len > 0) {
		core_answer_bytes(group->auth, TAKE(group->call),
		                  BYTES(group->refusal.data, group->refusal.len));
		return;
	}
	items = xcalloc(RECEIPTS_LISTED, sizeof(Auth__Receipt *));
	TAILQ_FOREACH(member, &group->roots, wait)
	{
		if (n == RECEIPTS_LISTED || !member->receipt)
			continue;
		items[n++] = member->receipt;
		member->receipt->has_cascaded = member->receipt->cascaded = group->cascade;
	}
	if (group->cascade && !group->external_id)
		answer_cascade(group, items[0]);
	else
		answer_receipts(group, items, n, false);
	mem_free(items);
}

/* Every root is durable: 202. A root that is settled already is told from its receipt. */
static void answer_early(struct group *group)
{
	Auth__SocketsClosed sockets = AUTH__SOCKETS_CLOSED__INIT;
	Auth__Receipt *made = xcalloc(RECEIPTS_LISTED, sizeof *made);
	Auth__Receipt **items = xcalloc(RECEIPTS_LISTED, sizeof(Auth__Receipt *));
	char(*id)[UUID_TEXT] = xcalloc(RECEIPTS_LISTED, UUID_TEXT);
	struct member *member;
	bool all = true;
	size_t n = 0;

	TAILQ_FOREACH(member, &group->roots, wait)
	{
		bool so_far = !member->receipt &&
		              revoke_so_far(group->auth->revokes, &member->id, &made[n]);

		all = all && (member->receipt || so_far);
		if (!all || n == RECEIPTS_LISTED)
			break;
		uuid_text(&member->id, id[n]);
		made[n].id = id[n];
		made[n].sockets_closed = &sockets;
		items[n] = member->receipt ? member->receipt : &made[n];
		n++;
	}
	if (all && n > 0)
		answer_receipts(group, items, n, true);
	mem_free(items);
	mem_free(made);
	mem_free(id);
}

/* ---- its life ---- */

static void free_member(void *self, struct map_node *node)
{
	struct group *group = self;
	struct member *member = MAP_OWNER(node, struct member, by_id);

	map_remove(&group->by_id, node);
	if (member->receipt)
		wire_free(&member->receipt->base);
	mem_free(member);
}

static void group_free(struct group *group)
{
	TAILQ_REMOVE(&group->auth->groups, group, link);
	group->auth->n_groups--;
	timer_stop(group->auth->loop, &group->timer);
	if (group->call)
		bus_drop(group->call);
	scan_close(group->scan);
	map_each(&group->by_id, free_member, group);
	map_done(&group->by_id);
	for (size_t i = 0; i < group->n_children; i++)
		mem_free(group->children[i]);
	mem_free(group->children);
	mem_free(group->external_id);
	buf_free(&group->refusal);
	mem_free(group);
}

static void start_some(struct group *group)
{
	struct member *member;
	char text[UUID_TEXT];

	while (group->in_air < GROUP_IN_AIR && (member = TAILQ_FIRST(&group->waiting))) {
		TAILQ_REMOVE(&group->waiting, member, wait);
		if (member->is_root)
			TAILQ_INSERT_TAIL(&group->roots, member, wait);
		group->in_air++;
		uuid_text(&member->id, text);
		revoke_wanted(group->auth, &member->call, &group->caller, &group->account, text);
	}
}

static void step(void *self)
{
	struct group *group = self;

	look_for_more(group);
	start_some(group);
	if (group->async && group->call && !group->scans_roots && group->refusal.len == 0 &&
	    TAILQ_EMPTY(&group->waiting))
		answer_early(group);
	if (group->scan || !TAILQ_EMPTY(&group->expanding)) {
		step_soon(group, 0);
	} else if (group->in_air == 0 && TAILQ_EMPTY(&group->waiting)) {
		if (group->call)
			conclude(group);
		group_free(group);
	} else if (group->async && group->call) {
		step_soon(group, ASYNC_MS);
	}
}

static void step_soon(struct group *group, int64_t delay_ms)
{
	timer_set(group->auth->loop, &group->timer, delay_ms, step, group);
}

/* NULL: the call is answered. */
static struct group *group_new(struct auth *auth, struct bus_call *call,
                               const struct caller *caller, const struct uuid *account)
{
	struct refusal why = REFUSAL_AWAY("too many deletions of many keys are under way");
	struct group *group;

	if (auth->n_groups >= GROUPS_MOST) {
		core_refuse(auth, call, &why);
		return NULL;
	}
	group = xcalloc(1, sizeof *group);
	group->auth = auth;
	group->call = call;
	group->caller = *caller;
	group->caller.vouched = true;
	group->account = *account;
	map_init(&group->by_id, sizeof(struct uuid));
	TAILQ_INIT(&group->waiting);
	TAILQ_INIT(&group->expanding);
	TAILQ_INIT(&group->roots);
	group->children = xcalloc(CHILDREN_LISTED, sizeof(char *));
	TAILQ_INSERT_TAIL(&auth->groups, group, link);
	auth->n_groups++;
	return group;
}

void revoke_key_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                       const struct uuid *account, const Auth__RevokeKey *wanted)
{
	struct refusal why = refusal(404, DETAIL_NO_SUCH_KEY);
	struct group *group;
	struct uuid id, owner;

	if (!wanted->cascade && !wanted->respond_async) {
		revoke_wanted(auth, call, caller, account, wanted->id);
		return;
	}
	if (!uuid_parse(wanted->id, &id) || rows_owner(auth->store, &id, &owner) != OK ||
	    (account && !uuid_equal(account, &owner))) {
		core_refuse(auth, call, &why);
		return;
	}
	group = group_new(auth, call, caller, &owner);
	if (!group)
		return;
	group->cascade = wanted->cascade;
	group->async = wanted->respond_async;
	add(group, &id, true);
	step(group);
}

void revoke_keys_wanted(struct auth *auth, struct bus_call *call, const struct caller *caller,
                        const Auth__RevokeKeys *wanted)
{
	struct refusal why = refusal(400, "expected exactly one filter: external_id, not empty");
	struct group *group;

	if (wanted->n_external_id != 1 || !wanted->external_id[0][0]) {
		core_refuse(auth, call, &why);
		return;
	}
	group = group_new(auth, call, caller, &caller->account);
	if (!group)
		return;
	group->cascade = wanted->cascade;
	group->async = wanted->respond_async;
	group->external_id = xstrdup(wanted->external_id[0]);
	group->scan = rows_scan_external(auth->store, &group->account, group->external_id);
	group->scans_roots = true;
	step(group);
}

void groups_done(struct auth *auth)
{
	while (!TAILQ_EMPTY(&auth->groups))
		group_free(TAILQ_FIRST(&auth->groups));
}
