#include "services/router/devices.h"

#include "common/clock.h"
#include "services/router/view.h"

#include <string.h>

#define NO_DEVICE "no such device"

/* A device whose last session this is; NULL: it is not there, or cannot be read. */
static Router__Device *device_of(struct router *router, const struct uuid *account,
                                 const struct uuid *last_session, enum err *ret_err)
{
	struct store *store = router->deps.store;
	Events__SessionRow *row;
	Router__Device device = ROUTER__DEVICE__INIT, *copy;
	struct uuid model;

	*ret_err = view_session(store, account, last_session, &row);
	if (*ret_err != OK)
		return NULL;
	MUST(uuid_parse(row->session->device_model_id, &model)); /* we wrote it */
	device.device_id = row->session->device_id;
	device.device_model_id = row->session->device_model_id;
	device.last_session_id = row->session->id;
	device.online = !row->has_close_code;
	device.last_seen_at = row->session->has_ended_at ? row->session->ended_at : clock_wall_ms();
	*ret_err = view_device_since(store, account, &model, row->session->device_id,
	                             &device.created_at);
	copy = *ret_err == OK ? (Router__Device *)wire_copy(&device.base) : NULL;
	wire_free(&row->base);
	return copy;
}

/* ---- one ---- */

static void refuse(struct router *router, struct bus_call *call, enum err err)
{
	if (err == ERR_NOT_FOUND)
		answer_error(router, call, 404, 0, NO_DEVICE);
	else
		answer_failure(router, call, err);
}

void on_get_device(struct router *router, const struct asker *asker, struct bus_call *call,
                   Router__RouterRequest *request)
{
	const char *id = request->get_device->id;
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Router__Device *device = NULL;
	struct uuid session;
	enum err err = ERR_NOT_FOUND;

	if (strlen(id) <= 128 && (!asker->device_id || strcmp(asker->device_id, id) == 0))
		err = view_last_session(router->deps.store, &asker->account, id, &session);
	if (err == OK)
		device = device_of(router, &asker->account, &session, &err);
	if (device) {
		reply.result_case = ROUTER__ROUTER_REPLY__RESULT_DEVICE;
		reply.device = device;
		answer(call, &reply);
		wire_free(&device->base);
	} else {
		refuse(router, call, err);
	}
	wire_free(&request->base);
}

/* ---- the list ---- */

struct listing {
	struct router *router;
	const struct asker *asker;
	Router__Device *device[DEVICES_LIST_MOST];
	size_t n, limit;
	bool is_cut;
	enum err err;
};

static bool list_one(void *ctx, const struct uuid *session)
{
	struct listing *listing = ctx;
	Router__Device *device;

	if (listing->n == listing->limit) {
		listing->is_cut = true;
		return false;
	}
	device = device_of(listing->router, &listing->asker->account, session, &listing->err);
	if (device)
		listing->device[listing->n++] = device;
	return listing->err == OK;
}

static void list_own(struct listing *listing)
{
	struct uuid session;

	listing->err = view_last_session(listing->router->deps.store, &listing->asker->account,
	                                 listing->asker->device_id, &session);
	if (listing->err == OK)
		(void)list_one(listing, &session);
	if (listing->err == ERR_NOT_FOUND)
		listing->err = OK;
}

/* False: answered. */
static bool check_list(struct router *router, struct bus_call *call,
                       const Router__ListDevices *list, struct uuid *ret_before)
{
	if (list->has_limit && (list->limit < 1 || list->limit > DEVICES_LIST_MOST))
		answer_error(router, call, 400, 0, "limit: expected 1 to %d, got %u",
		             DEVICES_LIST_MOST, list->limit);
	else if (list->cursor && !uuid_parse(list->cursor, ret_before))
		answer_error(router, call, 400, 0, ANSWER_BAD_CURSOR);
	else
		return true;
	return false;
}

static void answer_list(struct bus_call *call, struct listing *listing)
{
	Router__RouterReply reply = ROUTER__ROUTER_REPLY__INIT;
	Router__DeviceList devices = ROUTER__DEVICE_LIST__INIT;

	if (listing->is_cut)
		reply.next = listing->device[listing->n - 1]->last_session_id;
	devices.n_items = listing->n;
	devices.items = listing->device;
	reply.result_case = ROUTER__ROUTER_REPLY__RESULT_DEVICES;
	reply.devices = &devices;
	answer(call, &reply);
}

void on_list_devices(struct router *router, const struct asker *asker, struct bus_call *call,
                     Router__RouterRequest *request)
{
	const Router__ListDevices *list = request->list_devices;
	struct listing *listing = xcalloc(1, sizeof *listing);
	struct uuid before;

	listing->router = router;
	listing->asker = asker;
	listing->limit = list->has_limit ? list->limit : DEVICES_LIST_MOST;
	if (check_list(router, call, list, &before)) {
		if (asker->device_id)
			list_own(listing);
		else if (view_each_device(router->deps.store, &asker->account,
		                          list->cursor ? &before : NULL, list_one, listing) != OK)
			listing->err = ERR_IO;
		if (listing->err == OK)
			answer_list(call, listing);
		else
			answer_failure(router, call, listing->err);
	}
	while (listing->n > 0)
		wire_free(&listing->device[--listing->n]->base);
	mem_free(listing);
	wire_free(&request->base);
}
