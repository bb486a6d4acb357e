#include "services/publisher/history.h"

#include "common/wire.h"
#include "services/publisher/clock_health.h"
#include "services/publisher/gaps.h"
#include "services/publisher/history_job.h"
#include "services/publisher/publisher_reply.h"

#include <stdio.h>
#include <string.h>

#define ECHO_BYTES 32 /* of a bad value, said back */
#define TYPE_NAMES "hr, spo2, rr, hrv_rmssd, hrv_sdnn or motion"

void history_init(struct history *history)
{
	list_init(&history->jobs);
}

void history_done(struct history *history)
{
	timer_stop(history->loop, &history->timer);
	LIST_EACH(node, &history->jobs)
	{
		struct history_job *job = LIST_OWNER(node, struct history_job, in_jobs);

		bus_drop(job->call);
		history_job_free(job);
	}
}

static void answer(struct bus_call *call, struct buf *reply)
{
	bus_reply(call, BYTES(reply->data, reply->len));
	buf_free(reply);
}

void history_refuse(struct bus_call *call, uint32_t status, const char *detail)
{
	struct buf reply = { 0 };

	reply_error(&reply, status, status == 503 ? 1 : 0, detail);
	answer(call, &reply);
}

/* ---- jobs ---- */

static void on_turn(void *self);

static void run(struct history *history, struct history_job *job)
{
	struct buf reply = { 0 };

	switch (history_job_step(job)) {
	case HISTORY_MORE:
		list_append(&history->jobs, &job->in_jobs);
		timer_set(history->loop, &history->timer, 0, on_turn, history);
		return;
	case HISTORY_ANSWERED:
		history_job_answer(job, &reply);
		answer(job->call, &reply);
		break;
	case HISTORY_TOO_MUCH:
		history->metrics->history_refused_total++;
		history_refuse(job->call, 503,
		               "too much to look through: ask for less time or one session");
		break;
	}
	history_job_free(job);
	history->n_jobs--;
}

/* One slice of the one that has waited longest. */
static void on_turn(void *self)
{
	struct history *history = self;
	struct list *node = list_first(&history->jobs);

	if (!node)
		return;
	timer_set(history->loop, &history->timer, 0, on_turn, history);
	run(history, LIST_OWNER(node, struct history_job, in_jobs));
}

static void start(struct history *history, struct history_job *job)
{
	history->n_jobs++;
	run(history, job);
}

/* False: too many are at it already; the call is answered. */
static bool has_place(struct history *history, struct bus_call *call)
{
	if (history->n_jobs < HISTORY_JOBS)
		return true;
	history->metrics->history_refused_total++;
	history_refuse(call, 503, "too many history requests at once");
	return false;
}

/* ---- what was asked ---- */

/* ERR_MALFORMED: no session of this publisher can have that id. */
static enum err parse_name(const struct history *history, const struct asker *asker, const char *id,
                           struct session_name *ret)
{
	*ret = (struct session_name){ .account = asker->account };
	if (!uuid_parse(id, &ret->id))
		return ERR_MALFORMED;
	ret->partition = (uint16_t)(uuid_number(&ret->id) % PARTITIONS);
	return ret->partition % history->publishers == history->number ? OK : ERR_MALFORMED;
}

static bool may_see(const struct asker *asker, const Events__StoredOpening *opening)
{
	return opening && (!asker->device_id || strcmp(asker->device_id, opening->device_id) == 0);
}

enum err history_find_session(struct history *history, const struct asker *asker, const char *id,
                              struct session_name *ret)
{
	Events__StoredOpening *opening = NULL;
	const struct session *session;
	enum err err = parse_name(history, asker, id, ret);

	if (err != OK)
		return ERR_NOT_FOUND;
	session = session_table_peek(history->table, ret);
	if (session)
		return may_see(asker, session->opening) ? OK : ERR_NOT_FOUND;
	err = session_load_opening(history->store, ret, &opening);
	if (err != OK)
		return err;
	err = may_see(asker, opening) ? OK : ERR_NOT_FOUND;
	wire_free(&opening->base);
	return err;
}

/* Sets what a `type` asks for; false: the call has been refused. */
static bool set_types(struct history_job *job, const char *type)
{
	char why[160], got[ECHO_BYTES + 16] = "";

	if (!type) {
		job->wanted[INSIGHT_HR] = job->wanted[INSIGHT_SPO2] = job->wanted[INSIGHT_RR] =
		        true;
		return true;
	}
	for (size_t i = 0; i < INSIGHT_TYPES; i++)
		if (strcmp(type, insight_type_name((enum insight_type)i)) == 0)
			return job->wanted[i] = true;
	if (strlen(type) <= ECHO_BYTES)
		(void)snprintf(got, sizeof got, ", got \"%s\"", type);
	(void)snprintf(why, sizeof why, "type: expected " TYPE_NAMES "%s", got);
	history_refuse(job->call, 400, why);
	return false;
}

static bool set_after(struct history_job *job, const char *after, uint64_t *ret)
{
	struct uuid id;

	*ret = 0;
	if (!after)
		return true;
	if (!uuid_parse(after, &id)) {
		history_refuse(job->call, 400, "after: expected the id of an insight");
		return false;
	}
	*ret = outbox_number(&id);
	return true;
}

static bool set_before(struct history_job *job, const char *cursor)
{
	job->has_before = cursor != NULL;
	if (!cursor || uuid_parse(cursor, &job->before))
		return true;
	history_refuse(job->call, 400, "cursor: expected one from a Link header");
	return false;
}

static bool check_format(struct bus_call *call, const char *format)
{
	if (!format || strcmp(format, "json") == 0 || strcmp(format, "csv") == 0)
		return true;
	history_refuse(call, 400, "format: expected json or csv");
	return false;
}

/* Unknown is an empty list; what is no id was mistyped. */
static bool check_session(struct bus_call *call, const char *session)
{
	struct uuid id;

	if (!session || uuid_parse(session, &id))
		return true;
	history_refuse(call, 400, "session_id: expected the UUID of a session");
	return false;
}

static bool check_limit(struct bus_call *call, uint32_t limit, uint32_t most)
{
	char why[64];

	if (limit >= 1 && limit <= most)
		return true;
	if (most == UINT32_MAX)
		(void)snprintf(why, sizeof why, "limit: expected at least 1, got %u", limit);
	else
		(void)snprintf(why, sizeof why, "limit: expected 1 to %u, got %u", most, limit);
	history_refuse(call, 400, why);
	return false;
}

/* ---- the three requests ---- */

static void add_last_insights(struct history *history, const struct session *session,
                              Publisher__SessionDetail *detail, Publisher__Insight **room)
{
	static const enum insight_type shown[] = { INSIGHT_HR, INSIGHT_SPO2, INSIGHT_RR };

	detail->last_insights = room;
	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		uint64_t number = session->last_number[shown[i]];
		ProtobufCMessage *message = NULL;
		struct buf row = { 0 };
		struct key key;

		outbox_x_key(&key, &session->name, number);
		if (number > 0 && store_get(history->store, key_bytes(&key), &row) == OK &&
		    row.len >= OUTBOX_X_HEAD)
			message = wire_unpack(
			        &publisher__insight__descriptor,
			        BYTES(row.data + OUTBOX_X_HEAD, row.len - OUTBOX_X_HEAD));
		if (message)
			room[detail->n_last_insights++] = (Publisher__Insight *)message;
		buf_free(&row);
	}
}

static void answer_detail(struct history *history, struct bus_call *call,
                          const struct session *session)
{
	Publisher__PublisherReply reply = PUBLISHER__PUBLISHER_REPLY__INIT;
	Publisher__SessionDetail detail = PUBLISHER__SESSION_DETAIL__INIT;
	Publisher__Insight *last[INSIGHT_TYPES];
	struct buf packed = { 0 };

	detail.id = (char *)session->text;
	detail.device_id = session->opening->device_id;
	detail.device_model_id = session->opening->device_model_id;
	detail.status = session->closed ? "closed" : "open";
	detail.started_at = session->opening->started_at;
	detail.frames = session->frames;
	detail.bytes = session->bytes;
	if (session->closed) {
		detail.has_ended_at = detail.has_close_code = true;
		detail.ended_at = session->ended_at;
		detail.close_code = session->close_code;
		detail.close_reason = (char *)session->close_reason;
	}
	add_last_insights(history, session, &detail, last);
	reply.result_case = PUBLISHER__PUBLISHER_REPLY__RESULT_SESSION;
	reply.session = &detail;
	(void)wire_pack(&packed, &reply.base);
	for (size_t i = 0; i < detail.n_last_insights; i++)
		wire_free(&last[i]->base);
	turns_answer_read(history->turns, call, &packed);
}

/* Answers with what show() makes of the session, from memory or as the store has it. */
static void show_session(struct history *history, const struct asker *asker, struct bus_call *call,
                         const char *id,
                         void (*show)(struct history *history, struct bus_call *call,
                                      const struct session *session))
{
	AUTO(session_free) struct session *loaded = NULL;
	const struct session *session = NULL;
	struct session_name name;
	uint64_t replayed = 0;
	enum err err = parse_name(history, asker, id, &name);

	if (err == OK)
		session = session_table_peek(history->table, &name);
	if (err == OK && !session) {
		err = session_load(history->store, &name, false, &replayed, &loaded);
		session = loaded;
	}
	if (err == ERR_IO)
		history_refuse(call, 503, HISTORY_NO_STORE);
	else if (err != OK || !may_see(asker, session->opening))
		history_refuse(call, 404, HISTORY_NO_SESSION);
	else
		show(history, call, session);
}

void history_get_session(struct history *history, const struct asker *asker, struct bus_call *call,
                         const Publisher__GetSession *get)
{
	show_session(history, asker, call, get->id, answer_detail);
}

static void answer_gaps(struct history *history, struct bus_call *call,
                        const struct session *session)
{
	struct buf packed = { 0 };

	gaps_pack(session, &packed);
	turns_answer_read(history->turns, call, &packed);
}

void history_get_gaps(struct history *history, const struct asker *asker, struct bus_call *call,
                      const Publisher__GetGaps *get)
{
	show_session(history, asker, call, get->id, answer_gaps);
}

static void answer_clock(struct history *history, struct bus_call *call,
                         const struct session *session)
{
	struct buf packed = { 0 };

	clock_health_pack(session, &packed);
	turns_answer_read(history->turns, call, &packed);
}

void history_get_clock(struct history *history, const struct asker *asker, struct bus_call *call,
                       const Publisher__GetClock *get)
{
	show_session(history, asker, call, get->id, answer_clock);
}

void history_session_insights(struct history *history, const struct asker *asker,
                              struct bus_call *call, const Publisher__SessionInsights *list)
{
	struct history_job *job;
	struct session_name name;
	uint64_t after;
	enum err err;

	if (!has_place(history, call) || !check_format(call, list->format) ||
	    (list->has_limit && !check_limit(call, list->limit, UINT32_MAX)))
		return;
	job = history_job_new(history, asker, call);
	if (!set_types(job, list->type) || !set_after(job, list->after, &after)) {
		history_job_free(job);
		return;
	}
	err = history_find_session(history, asker, list->id, &name);
	if (err != OK) {
		history_refuse(call, err == ERR_IO ? 503 : 404,
		               err == ERR_IO ? HISTORY_NO_STORE : HISTORY_NO_SESSION);
		history_job_free(job);
		return;
	}
	job->limit = list->has_limit ? list->limit : SIZE_MAX;
	history_job_scan_session(job, &name, after, false);
	start(history, job);
}

void history_list_insights(struct history *history, const struct asker *asker,
                           struct bus_call *call, const Publisher__ListInsights *list)
{
	uint32_t limit = list->has_limit ? list->limit : HISTORY_LIMIT;
	struct asker of_device = *asker;
	struct history_job *job;
	struct session_name name;
	enum err err = OK;

	if (!has_place(history, call) || !check_format(call, list->format) ||
	    !check_session(call, list->session_id) || !check_limit(call, limit, HISTORY_LIMIT_MOST))
		return;
	if (list->device_id)
		of_device.device_id = list->device_id;
	job = history_job_new(history, &of_device, call);
	job->limit = limit;
	if (!set_types(job, list->type) || !set_before(job, list->cursor)) {
		history_job_free(job);
		return;
	}
	job->from_ms = list->has_from_at ? list->from_at : INT64_MIN;
	job->to_ms = list->has_to_at ? list->to_at : INT64_MAX;
	if (list->device_id && asker->device_id && strcmp(list->device_id, asker->device_id) != 0)
		err = ERR_NOT_FOUND; /* of another device than the key's */
	else if (!list->session_id)
		history_job_scan_account(job);
	else
		err = history_find_session(history, &of_device, list->session_id, &name);
	if (list->session_id && err == OK)
		history_job_scan_session(job, &name, 0, true);
	if (err == ERR_IO) {
		history_refuse(call, 503, HISTORY_NO_STORE);
		history_job_free(job);
		return;
	}
	start(history, job); /* an id that is unknown: no scan, an empty list */
}
