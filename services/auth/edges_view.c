#include "services/auth/edges.h"

#include "common/clock.h"
#include "services/auth/spread.h"

/* ---- the view ---- */

static void on_over(void *self, struct edge *edge)
{
	struct auth *auth = self;
	char incarnation[UUID_TEXT];

	uuid_text(&edge->incarnation, incarnation);
	log_warn("lease-over", "slot=%u incarnation=%s", edge->slot, incarnation);
	edge_over(auth, edge);
}

void lease_check(struct auth *auth)
{
	leases_expire(&auth->leases, clock_boot_ms(), on_over, auth);
}

/* Outside apply(), because a revoke that waited for it may be settled now. */
static void reap(void *self)
{
	struct auth *auth = self;
	struct edge *edge = TAILQ_FIRST(&auth->leases.edges);

	while (edge) {
		struct edge *next = TAILQ_NEXT(edge, link);

		if (edge->ended) {
			edge_over(auth, edge);
			leases_remove(&auth->leases, edge);
		}
		edge = next;
	}
}

static bool incarnation_of(const Events__EdgeRow *row, struct uuid *ret)
{
	return wire_id(row->incarnation, ret);
}

void edge_registered_applied(struct auth *auth, const Events__EdgeRow *row)
{
	struct uuid incarnation;

	MUST(incarnation_of(row, &incarnation));
	if (leases_find(&auth->leases, row->slot, &incarnation))
		return; /* its registration arrived twice */
	edge_joined(auth, leases_add(&auth->leases, row->slot, &incarnation, row->lease_ms,
	                             clock_boot_ms() + row->lease_ms));
}

void edge_gone_applied(struct auth *auth, const Events__EdgeRow *row)
{
	struct uuid incarnation;
	struct edge *edge;

	MUST(incarnation_of(row, &incarnation));
	edge = leases_find(&auth->leases, row->slot, &incarnation);
	if (!edge)
		return;
	edge->ended = true;
	timer_set(auth->loop, &auth->reap, 0, reap, auth);
}

/* ---- events ---- */

struct edge_event {
	Events__AuthEvent event;
	Events__EdgeRow row;
};

static Events__AuthEvent *fill_event(struct edge_event *one, Events__AuthEvent__EventCase kind,
                                     uint32_t slot, const struct uuid *incarnation,
                                     int64_t lease_ms)
{
	events__auth_event__init(&one->event);
	events__edge_row__init(&one->row);
	one->row.slot = slot;
	one->row.incarnation = wire_bytes_of(incarnation);
	one->row.lease_ms = (uint32_t)lease_ms;
	one->event.event_case = kind;
	one->event.edge_registered = &one->row; /* the members of the union are one pointer */
	return &one->event;
}

struct edge_list edge_list_new(const struct auth *auth)
{
	size_t most = auth->leases.n + 1;

	return (struct edge_list){ 0, xcalloc(most, sizeof(struct edge_event)),
		                   xcalloc(most, sizeof(Events__AuthEvent *)) };
}

void edge_list_free(struct edge_list *list)
{
	mem_free(list->one);
	mem_free(list->event);
}

static void add(struct edge_list *list, Events__AuthEvent__EventCase kind, uint32_t slot,
                const struct uuid *incarnation, int64_t lease_ms)
{
	list->event[list->n] = fill_event(&list->one[list->n], kind, slot, incarnation, lease_ms);
	list->n++;
}

void edge_list_gone(struct edge_list *list, const struct edge *edge)
{
	add(list, EVENTS__AUTH_EVENT__EVENT_EDGE_GONE, edge->slot, &edge->incarnation,
	    edge->longest_ms);
}

void edge_list_registered(struct edge_list *list, uint32_t slot, const struct uuid *incarnation,
                          int64_t lease_ms)
{
	add(list, EVENTS__AUTH_EVENT__EVENT_EDGE_REGISTERED, slot, incarnation, lease_ms);
}

/* ---- start and housekeeping ---- */

enum err edges_load(struct auth *auth)
{
	AUTO(scan_close) struct store_scan *scan = rows_scan_own(auth->store, ROWS_EDGES);
	struct bytes key, value;

	while (scan_next(scan, &key, &value)) {
		AUTO(wire_free)
		ProtobufCMessage *message = wire_unpack(&events__edge_row__descriptor, value);
		const Events__EdgeRow *row = (const Events__EdgeRow *)message;
		struct uuid incarnation;

		if (!row || !incarnation_of(row, &incarnation))
			return ERR_MALFORMED;
		leases_add(&auth->leases, row->slot, &incarnation, row->lease_ms,
		           clock_boot_ms() + row->lease_ms)
		        ->committed = true;
	}
	return scan_err(scan);
}

static void on_swept(void *self, enum err err)
{
	(void)self;
	if (err != OK) /* the next sweep tries again */
		log_warn("sweep-failed", "err=%s", err_name(err));
}

void edges_sweep(struct auth *auth)
{
	struct edge_list list = edge_list_new(auth);
	struct edge *edge;

	TAILQ_FOREACH(edge, &auth->leases.edges, link)
	if (!edge->live && !edge->ended && clock_boot_ms() - edge->until_ms > EDGE_AWAY_MS)
		edge_list_gone(&list, edge);
	if (list.n > 0)
		core_append(auth, list.event, list.n, on_swept, auth);
	edge_list_free(&list);
}
