/* The half of view.h that writes. */
#include "services/router/view.h"

#include "common/journal.h"
#include "common/log.h"
#include "common/once.h"
#include "common/wire.h"
#include "services/router/row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What one event has to do with. */
struct change {
	struct store *store;
	struct store_batch *batch;
	struct uuid account;
	int64_t at_ms;
};

/* A view that cannot be read must not be written: what it would say is unknown. */
static bool found(enum err err, const struct change *change)
{
	if (err == OK || err == ERR_NOT_FOUND)
		return err == OK;
	log_error("view-broke", "err=%s why=\"%s\"", err_name(err), store_why(change->store));
	_exit(EXIT_FAILURE);
}

static void put(const struct change *change, struct key key, struct bytes value)
{
	batch_put(change->batch, key_bytes(&key), value);
}

static void put_row(const struct change *change, struct key key, const ProtobufCMessage *row)
{
	struct buf buf = { 0 };

	put(change, key, wire_pack(&buf, row));
	buf_free(&buf);
}

static void drop(const struct change *change, struct key key)
{
	batch_delete(change->batch, key_bytes(&key));
}

static struct uuid id_of(const char *text)
{
	struct uuid id;

	MUST(uuid_parse(text, &id)); /* we wrote it */
	return id;
}

static struct uuid id_in(ProtobufCBinaryData field)
{
	struct uuid id;

	MUST(wire_id(field, &id)); /* we wrote it */
	return id;
}

static void on_model_created(const struct change *change, const Events__ModelRow *row)
{
	struct uuid id = id_of(row->model->id);

	put_row(change, row_key(&change->account, 'm', &id), &row->base);
	put(change, row_name_key(&change->account, row->model->name), BYTES(id.byte, sizeof id));
}

/* A new name takes the place of the old one; a replay finds the new one already. */
static void on_model_changed(const struct change *change, const Events__ModelRow *row)
{
	struct uuid id = id_of(row->model->id);
	Events__ModelRow *old;

	if (!found(view_model(change->store, &change->account, &id, &old), change))
		return;
	drop(change, row_name_key(&change->account, old->model->name));
	wire_free(&old->base);
	on_model_created(change, row);
}

static void on_model_deleted(const struct change *change, const Events__ModelDeleted *deleted)
{
	struct uuid id = id_in(deleted->id);
	Events__ModelRow *row;

	if (!found(view_model(change->store, &change->account, &id, &row), change))
		return;
	drop(change, row_key(&change->account, 'm', &id));
	drop(change, row_name_key(&change->account, row->model->name));
	wire_free(&row->base);
}

static struct key held_key(const Events__SessionRow *row, const struct uuid *session)
{
	struct uuid incarnation = id_in(row->edge_incarnation);
	struct key key = row_edge_key(row->edge_slot, &incarnation);

	key_add_uuid(&key, session);
	return key;
}

/* Its publisher knows the end: nothing has to look after it any more. */
static void settle(const struct change *change, Events__SessionRow *row, const struct uuid *id)
{
	drop(change, held_key(row, id));
	row->has_settled = 1;
	row->settled = 1;
}

/* Out of what is open. */
static void leave_open(const struct change *change, const struct uuid *id)
{
	drop(change, row_key(&change->account, 'w', id));
	put(change, row_key(&change->account, 'c', id), BYTES("", 0));
}

struct end {
	uint32_t code;
	const char *reason;
	bool settled;
	int64_t at_ms; /* wall */
};

/* Whoever was first has closed it. */
static void close_session(const struct change *change, ProtobufCBinaryData session,
                          const struct end *end)
{
	static char closed[] = "closed";
	struct uuid id = id_in(session);
	Events__SessionRow *row;
	char *open_status, *open_reason;

	if (!found(view_session(change->store, &change->account, &id, &row), change))
		return;
	open_status = row->session->status;
	open_reason = row->close_reason;
	if (!row->has_close_code) {
		leave_open(change, &id);
		row->session->status = closed;
		row->session->has_ended_at = 1;
		row->session->ended_at = end->at_ms;
		row->has_close_code = 1;
		row->close_code = end->code;
		row->close_reason = (char *)end->reason;
	}
	if (end->settled) {
		row->session->ended_at = end->at_ms; /* as its publisher has it */
		settle(change, row, &id);
	}
	put_row(change, row_key(&change->account, 's', &id), &row->base);
	row->session->status = open_status;
	row->close_reason = open_reason;
	wire_free(&row->base);
}

static void put_device(const struct change *change, const Router__Session *session,
                       const struct uuid *model)
{
	Events__DeviceRow device = EVENTS__DEVICE_ROW__INIT;

	if (found(view_device(change->store, &change->account, model, session->device_id), change))
		return;
	device.device_id = session->device_id;
	device.device_model_id = session->device_model_id;
	device.created_at = change->at_ms;
	put_row(change, row_device_key(&change->account, 'v', model, session->device_id),
	        &device.base);
}

/* Its place among the devices; an edge's clock may be behind another's. */
static void move_device(const struct change *change, const char *device_id, const struct uuid *id)
{
	struct uuid last;

	if (found(view_last_session(change->store, &change->account, device_id, &last), change)) {
		if (memcmp(&last, id, sizeof last) > 0)
			return;
		drop(change, row_key(&change->account, 'D', &last));
	}
	put(change, row_key(&change->account, 'D', id), BYTES(device_id, strlen(device_id)));
}

static void on_session_opened(const struct change *change, const Events__SessionRow *row)
{
	struct uuid id = id_in(row->id), model = id_of(row->session->device_model_id);
	struct key by_device = row_device_sessions_key(&change->account, row->session->device_id);
	const struct bytes nothing = BYTES("", 0);
	const struct end superseded = { VIEW_SUPERSEDED, VIEW_SUPERSEDED_REASON, false,
		                        row->session->started_at };

	for (size_t i = 0; i < row->n_supersedes; i++)
		close_session(change, row->supersedes[i], &superseded);
	put_device(change, row->session, &model);
	move_device(change, row->session->device_id, &id);
	put_row(change, row_key(&change->account, 's', &id), &row->base);
	put(change, row_device_key(&change->account, 'o', &model, row->session->device_id),
	    BYTES(id.byte, sizeof id));
	put(change, row_key(&change->account, 'w', &id), nothing);
	key_add_uuid(&by_device, &id);
	put(change, by_device, nothing);
	put(change, held_key(row, &id), BYTES(change->account.byte, sizeof change->account));
}

/* ---- erasing ---- */

static void on_erasing(const struct change *change, const Events__Erasing *erasing)
{
	const char *device_id = erasing->device_id ? erasing->device_id : "";

	put(change, row_erasing_key(&change->account, device_id),
	    erasing->has_id ? BYTES(erasing->id.data, erasing->id.len)
	                    : BYTES(&change->at_ms, sizeof change->at_ms));
}

static void erase_session(const struct change *change, const struct uuid *id)
{
	struct key by_device;
	Events__SessionRow *row;
	struct uuid model;

	if (!found(view_session(change->store, &change->account, id, &row), change))
		return;
	model = id_of(row->session->device_model_id);
	by_device = row_device_sessions_key(&change->account, row->session->device_id);
	key_add_uuid(&by_device, id);
	drop(change, by_device);
	for (const char *table = "swcD"; *table; table++)
		drop(change, row_key(&change->account, *table, id));
	drop(change, held_key(row, id));
	drop(change, row_device_key(&change->account, 'v', &model, row->session->device_id));
	drop(change, row_device_key(&change->account, 'o', &model, row->session->device_id));
	wire_free(&row->base);
}

static void on_sessions_erased(const struct change *change, const Events__SessionsErased *erased)
{
	for (size_t i = 0; i < erased->n_ids; i++) {
		struct uuid id = id_in(erased->ids[i]);

		erase_session(change, &id);
	}
}

static bool has_session(void *ctx, const Events__SessionRow *row)
{
	(void)row;
	*(bool *)ctx = true;
	return false;
}

struct ending {
	const struct change *change;
	const Events__Erasing *erased;
	char device_id[KEY_MAX]; /* "": all of the account */
	bool found;
};

static void is_ending(void *ctx, const struct view_going *going)
{
	struct ending *ending = ctx;
	const ProtobufCBinaryData *id = &ending->erased->id;

	if (!uuid_equal(&going->account, &ending->change->account) || going->id_len != id->len ||
	    memcmp(going->id, id->data, id->len) != 0)
		return;
	(void)snprintf(ending->device_id, sizeof ending->device_id, "%s", going->device_id);
	ending->found = true;
}

/* What is deleted is gone from the disk too, and from the journal what it was called. */
static void give_back(const struct change *change)
{
	struct key from, to;

	key_start(&from, PARTITION_OWN, &change->account, 0);
	key_start(&to, PARTITION_OWN, &change->account, 0x7f);
	batch_give_back(change->batch, key_bytes(&from), key_bytes(&to));
	key_start(&from, PARTITION_OWN, NULL, 'X');
	key_end_of(&from, &to);
	batch_give_back(change->batch, key_bytes(&from), key_bytes(&to));
	journal_give_back(change->batch);
}

/* Not while there is a session: its opening was under way when the erasing began. */
static void end_erasing(const struct change *change, const char *device_id)
{
	const struct view_sessions which = { .account = &change->account,
		                             .device_id = device_id[0] ? device_id : NULL,
		                             .from_ms = INT64_MIN,
		                             .to_ms = INT64_MAX };
	bool any = false;
	struct key from, to;
	struct uuid next;

	(void)found(view_each_session(change->store, &which, has_session, &any, &next), change);
	if (any)
		return;
	drop(change, row_erasing_key(&change->account, device_id));
	give_back(change);
	if (device_id[0])
		return;
	key_start(&from, PARTITION_OWN, &change->account, 0);
	key_start(&to, PARTITION_OWN, &change->account, 0x7f);
	batch_delete_range(change->batch, key_bytes(&from), key_bytes(&to));
}

static void on_erased(const struct change *change, const Events__Erasing *erased)
{
	struct ending ending = { .change = change, .erased = erased };

	if (!erased->has_id) { /* by an earlier version */
		end_erasing(change, erased->device_id ? erased->device_id : "");
		return;
	}
	(void)found(view_each_erasing(change->store, is_ending, &ending), change);
	if (ending.found) /* else a replay */
		end_erasing(change, ending.device_id);
}

/* It goes on with another edge: out of the old one's, and open if it was closed. */
static void on_session_resumed(const struct change *change, const Events__SessionRow *row)
{
	struct uuid id = id_in(row->id);
	Events__SessionRow *old;

	if (!found(view_session(change->store, &change->account, &id, &old), change))
		return;
	drop(change, held_key(old, &id));
	wire_free(&old->base);
	drop(change, row_key(&change->account, 'c', &id));
	put(change, row_key(&change->account, 'w', &id), BYTES("", 0));
	put_row(change, row_key(&change->account, 's', &id), &row->base);
	put(change, held_key(row, &id), BYTES(change->account.byte, sizeof change->account));
}

void view_apply(struct store *store, const Events__RouterEvent *event, struct store_batch *batch)
{
	const struct change change = { store, batch, id_in(event->account), event->at_ms };
	const Events__SessionClosed *closed = event->session_closed;

	switch (event->event_case) {
	case EVENTS__ROUTER_EVENT__EVENT_MODEL_CREATED:
		on_model_created(&change, event->model_created);
		break;
	case EVENTS__ROUTER_EVENT__EVENT_MODEL_CHANGED:
		on_model_changed(&change, event->model_changed->row);
		break;
	case EVENTS__ROUTER_EVENT__EVENT_MODEL_DELETED:
		on_model_deleted(&change, event->model_deleted);
		break;
	case EVENTS__ROUTER_EVENT__EVENT_SESSION_OPENED:
		on_session_opened(&change, event->session_opened);
		break;
	case EVENTS__ROUTER_EVENT__EVENT_ERASING:
		on_erasing(&change, event->erasing);
		break;
	case EVENTS__ROUTER_EVENT__EVENT_SESSIONS_ERASED:
		on_sessions_erased(&change, event->sessions_erased);
		break;
	case EVENTS__ROUTER_EVENT__EVENT_ERASED:
		on_erased(&change, event->erased);
		break;
	case EVENTS__ROUTER_EVENT__EVENT_SESSION_RESUMED:
		on_session_resumed(&change, event->session_resumed);
		break;
	case EVENTS__ROUTER_EVENT__EVENT_SESSION_CLOSED:
		close_session(
		        &change, closed->id,
		        &(struct end){ closed->close_code, closed->close_reason, true,
		                       closed->has_ended_at ? closed->ended_at : event->at_ms });
		break;
	case EVENTS__ROUTER_EVENT__EVENT_KEPT:
		once_apply(event->kept, event->at_ms, batch);
		break;
	default: /* an event of a later version: what it means is not known here */
		log_warn("event-unknown", "case=%d", (int)event->event_case);
	}
}
