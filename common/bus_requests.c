#include "common/bus_requests.h"
#include "common/clock.h"

#include <string.h>

#define SLOT_BITS 6 /* the low bits of an id are its place in the air */
#define SLOTS     (1u << SLOT_BITS)
#define ID_BIT    0x80000000u
#define RETRY_MS  20 /* after send() said "not now" */

_Static_assert(BUS_MAX_IN_AIR <= SLOTS, "every request in the air needs a slot");

struct list {
	struct request *first, *last;
};

struct request {
	struct bus_requests *owner;
	struct list *list; /* queue or refused; NULL = in the air */
	struct request *next, *previous;
	struct timer deadline;
	enum err verdict; /* what the deadline will say */
	bus_reply_fn *fn;
	void *ctx;
	uint32_t id;
	int64_t resend_ms; /* on clock_boot_ms() */
	size_t len;
	uint8_t body[];
};

struct bus_requests {
	struct loop *loop;
	bus_send_fn *send;
	void *ctx;
	struct list queue;
	struct list refused; /* their reply_fn is called from the loop, as every other */
	struct request *air[BUS_MAX_IN_AIR];
	size_t n_air, n_waiting;
	uint32_t serial;
	struct timer resend;
	bool calling; /* reply_fn runs */
};

static void list_append(struct list *list, struct request *request)
{
	request->list = list;
	request->previous = list->last;
	request->next = NULL;
	*(list->last ? &list->last->next : &list->first) = request;
	list->last = request;
}

static void list_remove(struct request *request)
{
	struct list *list = request->list;

	*(request->previous ? &request->previous->next : &list->first) = request->next;
	*(request->next ? &request->next->previous : &list->last) = request->previous;
	request->list = NULL;
}

struct bus_requests *bus_requests_new(struct loop *loop, bus_send_fn *send, void *ctx)
{
	struct bus_requests *requests = xcalloc(1, sizeof *requests);

	requests->loop = loop;
	requests->send = send;
	requests->ctx = ctx;
	return requests;
}

static uint64_t unanswered; /* a metric of the process */

uint64_t bus_unanswered(void)
{
	return unanswered;
}

static void request_free(struct request *request)
{
	unanswered--;
	timer_stop(request->owner->loop, &request->deadline);
	mem_free(request);
}

static void free_list(struct list *list)
{
	struct request *next;

	for (struct request *request = list->first; request; request = next) {
		next = request->next;
		request_free(request);
	}
}

void bus_requests_free(struct bus_requests *requests)
{
	if (!requests)
		return;
	MUST(!requests->calling);
	timer_stop(requests->loop, &requests->resend);
	free_list(&requests->queue);
	free_list(&requests->refused);
	for (size_t i = 0; i < BUS_MAX_IN_AIR; i++)
		if (requests->air[i])
			request_free(requests->air[i]);
	mem_free(requests);
}

/* ---- sending ---- */

/* Sends what is due. Where one is refused, the others would be too. */
static void resend_due(void *self)
{
	struct bus_requests *requests = self;
	int64_t now = clock_boot_ms(), next = INT64_MAX;
	bool open = true;

	for (size_t i = 0; i < BUS_MAX_IN_AIR; i++) {
		struct request *request = requests->air[i];

		if (!request)
			continue;
		if (request->resend_ms <= now) {
			open = open && requests->send(requests->ctx, request->id,
			                              BYTES(request->body, request->len));
			request->resend_ms = now + (open ? BUS_RESEND_MS : RETRY_MS);
		}
		if (request->resend_ms < next)
			next = request->resend_ms;
	}
	if (next < INT64_MAX)
		timer_set(requests->loop, &requests->resend, next - now, resend_due, requests);
}

void bus_requests_again(struct bus_requests *requests)
{
	for (size_t i = 0; i < BUS_MAX_IN_AIR; i++)
		if (requests->air[i])
			requests->air[i]->resend_ms = 0;
	resend_due(requests);
}

static void send_first(struct bus_requests *requests, struct request *request, size_t slot)
{
	int64_t wait_ms = BUS_RESEND_MS;

	list_remove(request);
	requests->air[slot] = request;
	requests->n_air++;
	request->id = ID_BIT | requests->serial++ << SLOT_BITS | (uint32_t)slot;
	if (!requests->send(requests->ctx, request->id, BYTES(request->body, request->len)))
		wait_ms = RETRY_MS;
	request->resend_ms = clock_boot_ms() + wait_ms;
	if (requests->resend.place == 0 || requests->resend.due_ms > request->resend_ms)
		timer_set(requests->loop, &requests->resend, wait_ms, resend_due, requests);
}

/* From the queue into the air, while there is room. */
static void pump(struct bus_requests *requests)
{
	for (size_t slot = 0; requests->queue.first && requests->n_air < BUS_MAX_IN_AIR; slot++) {
		MUST(slot < BUS_MAX_IN_AIR);
		if (!requests->air[slot])
			send_first(requests, requests->queue.first, slot);
	}
}

/* ---- the end of a request ---- */

static void finish(struct request *request, enum err err, struct bytes reply)
{
	struct bus_requests *requests = request->owner;

	if (request->list == &requests->refused) {
		list_remove(request);
	} else {
		requests->n_waiting--;
		if (request->list) {
			list_remove(request);
		} else {
			requests->air[request->id % SLOTS] = NULL;
			requests->n_air--;
		}
	}
	requests->calling = true;
	request->fn(request->ctx, err, reply);
	requests->calling = false;
	request_free(request);
	pump(requests);
}

static void on_deadline(void *self)
{
	struct request *request = self;

	finish(request, request->verdict, BYTES(NULL, 0));
}

void bus_requests_answer(struct bus_requests *requests, uint32_t id, enum err err,
                         struct bytes reply)
{
	size_t slot = id % SLOTS;

	if (slot < BUS_MAX_IN_AIR && requests->air[slot] && requests->air[slot]->id == id)
		finish(requests->air[slot], err, reply);
}

void bus_requests_add(struct bus_requests *requests, struct bytes body, int64_t deadline_ms,
                      bus_reply_fn *fn, void *ctx)
{
	bool fits = body.len <= BUS_MAX_BYTES && requests->n_waiting < BUS_MAX_WAITING;
	size_t len = fits ? body.len : 0;
	struct request *request = xcalloc(1, sizeof *request + len);

	unanswered++;
	request->owner = requests;
	request->fn = fn;
	request->ctx = ctx;
	request->len = len;
	if (len > 0)
		memcpy(request->body, body.data, len);
	request->verdict = fits ? ERR_UNAVAILABLE : ERR_LIMIT;
	timer_set(requests->loop, &request->deadline, fits ? deadline_ms : 0, on_deadline, request);
	list_append(fits ? &requests->queue : &requests->refused, request);
	if (!fits)
		return;
	requests->n_waiting++;
	pump(requests);
}
