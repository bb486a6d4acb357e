/* The part of rest that asks services, and tells what they answered. */
#include "services/edge/rest_internal.h"

#include "common/json.h"
#include "common/keys.h"
#include "common/principal.h"
#include "common/wire.h"
#include "services/edge/problem.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

struct question {
	struct list link;
	struct rest *rest;
	char name[BUS_NAME_MAX];
	rest_reply_fn *fn;
};

/* ---- telling ---- */

void rest_drop_replies(struct rest *rest)
{
	for (unsigned i = 0; i < rest->n_replies; i++)
		wire_free(rest->replies[i]);
	rest->n_replies = 0;
	mem_free(TAKE(rest->replies));
}

/* Device models say nothing of anybody's health. A device is not named: what names it is deleted
 * with it, and the journal of reads is another's. */
static void note_read(struct rest *rest)
{
	static const char models[] = "/v1/device-models", devices[] = "/v1/devices/";
	const Raeh__Principal *principal = grant_principal(&rest->user);
	const char *resource = rest->path;

	if (rest->route->scope != SCOPE_READ || !principal || !rest->path ||
	    strncmp(rest->path, models, sizeof models - 1) == 0)
		return;
	if (strncmp(rest->path, devices, sizeof devices - 1) == 0)
		resource = rest->route->path;
	reads_note(rest->edge->reads, principal, resource, rest->route->path, rest->origin);
}

void rest_hand_over(struct rest *rest)
{
	note_read(rest);
	rest->edge->metrics.requests_total++;
	rest_drop_replies(rest);
	buf_free(&rest->pages);
	timer_stop(rest->edge->loop, &rest->timer);
	rest->answered = true;
}

static void no_content(struct conn *conn, const char *extra)
{
	char *headers = xasprintf(HTTP_HEADERS "%s", extra);

	net_respond(conn, 204, headers, BYTES("", 0));
	mem_free(headers);
}

void rest_answer(struct rest *rest, int status, const char *json, const char *extra)
{
	if (status == 204)
		no_content(rest->conn, extra);
	else if (status == 200 && rest->path)
		rest_answer_get(rest, "application/json", json, extra);
	else
		json_respond(rest->conn, status, json, extra);
	rest_hand_over(rest);
}

/* The service has accepted it and is not done: only where the client asked for that. */
static bool is_pending(const struct rest *rest)
{
	const protobuf_c_boolean *pending =
	        rest->n_replies > 0 ? rest_member(rest->replies[0], "pending") : NULL;

	return pending && *pending;
}

void rest_answer_message(struct rest *rest, const ProtobufCMessage *result, const char *extra)
{
	char *json = json_of_message(result);

	rest_answer(rest, is_pending(rest) ? 202 : rest->route->status, json, extra);
	sodium_memzero(json, strlen(json)); /* a new key is told once */
	mem_free(json);
}

static void refuse(struct rest *rest, int status, const char *detail, const char *extra,
                   const char *made_id)
{
	struct conn *conn = rest->conn;

	rest->edge->metrics.requests_total++;
	if (status == 401)
		rest->edge->metrics.refused_total++;
	conn_set_user(conn, NULL);
	problem_respond_made(conn, status, detail, extra, made_id);
	rest->conn = NULL;
	rest_finish(rest);
}

void rest_refuse(struct rest *rest, int status, const char *detail, const char *extra)
{
	refuse(rest, status, detail, extra, NULL);
}

void rest_refuse_as_told(struct rest *rest, const Raeh__Error *error)
{
	char extra[64] = "";

	if (error->has_retry_after_s)
		(void)snprintf(extra, sizeof extra, "Retry-After: %u\r\n", error->retry_after_s);
	refuse(rest, (int)error->status, error->detail, extra, error->made_id);
}

/* ---- asking ---- */

/* False: it was refused. A stream that has begun is judged byte by byte: rest_may_move(). */
static bool may_be_told(struct rest *rest)
{
	if (rest->answered || rest->route->scope == 0)
		return true;
	if (!grant_principal(&rest->user)) {
		if (rest->ends_itself)
			return true;
		rest_refuse(rest, 401, GRANT_REFUSED, ""); /* died while the service worked */
		return false;
	}
	/* Without the lease, or before auth has said so again, it may be dead: nothing is told. */
	if (!grant_good(rest->edge->grants, &rest->user)) {
		rest_refuse(rest, 503, "authentication is away: ask again later", "");
		return false;
	}
	return true;
}

static void on_reply(void *ctx, enum err err, struct bytes data)
{
	struct question *question = ctx;
	struct rest *rest = question->rest;

	list_remove(&question->link);
	rest->pending--;
	if (!rest->conn) {
		if (rest->pending == 0)
			rest_release(rest);
	} else if (may_be_told(rest)) {
		question->fn(rest, question->name, err, data);
	}
	mem_free(question);
}

void rest_ask(struct rest *rest, const char *name, struct bytes request, int64_t deadline_ms,
              rest_reply_fn *fn)
{
	struct question *question = xcalloc(1, sizeof *question);

	question->rest = rest;
	question->fn = fn;
	(void)snprintf(question->name, sizeof question->name, "%s", name);
	list_append(&rest->questions, &question->link);
	rest->pending++;
	bus_request(rest->edge->bus, name, request, deadline_ms ? deadline_ms : REST_SERVICE_MS,
	            on_reply, question);
}

void rest_drop_questions(struct rest *rest)
{
	struct list *link;

	while ((link = list_first(&rest->questions)) != NULL) {
		list_remove(link);
		mem_free(LIST_OWNER(link, struct question, link));
	}
}

/* ---- a row's own service ---- */

static void conclude(struct rest *rest)
{
	char why[128];
	char *link;

	if (rest->missing[0]) {
		(void)snprintf(why, sizeof why, "%s does not answer", rest->missing);
		rest_refuse(rest, 503, why, "");
		return;
	}
	for (unsigned i = 0; i < rest->n_replies; i++) {
		const Raeh__Error *const *error = rest_member(rest->replies[i], "error");

		if (*error) {
			rest_refuse_as_told(rest, *error);
			return;
		}
		if (!rest_chosen(rest->replies[i], rest->route->result)) {
			rest_refuse(rest, 500, "a service gave an answer of another kind", "");
			return;
		}
	}
	if (rest->route->service == REST_PUBLISHER_PAGES) {
		rest_take_page(rest);
	} else if (rest->route->service == REST_PUBLISHERS) {
		rest_merge_insights(rest);
	} else {
		link = rest_next_page(rest);
		rest_answer_message(rest, rest_chosen(rest->replies[0], rest->route->result), link);
		mem_free(link);
	}
}

static void take_reply(struct rest *rest, const char *name, enum err err, struct bytes data)
{
	const ProtobufCMessageDescriptor *type = rest_reply_type(rest->route->service);
	ProtobufCMessage *reply = err == OK ? wire_unpack(type, data) : NULL;

	if (reply)
		rest->replies[rest->n_replies++] = reply;
	else
		(void)snprintf(rest->missing, sizeof rest->missing, "%s", name);
	if (rest->pending == 0)
		conclude(rest);
}

void rest_publisher_of(const struct rest *rest, const struct uuid *session, char ret[BUS_NAME_MAX])
{
	(void)snprintf(ret, BUS_NAME_MAX, "publisher-%u",
	               (unsigned)(uuid_number(session) % PARTITIONS) %
	                       rest->edge->settings.publishers);
}

void rest_ask_service(struct rest *rest)
{
	enum rest_service service = rest->route->service;
	unsigned n = service == REST_PUBLISHERS ? rest->edge->settings.publishers : 1;
	int64_t deadline_ms = rest->route->deadline_ms;
	char name[BUS_NAME_MAX];
	struct buf buf = { 0 };
	struct bytes request = rest_pack(rest, &buf);

	rest_drop_replies(rest);
	rest->replies = xcalloc(n, sizeof(ProtobufCMessage *));
	for (unsigned i = 0; i < n; i++) {
		if (service == REST_PUBLISHERS)
			(void)snprintf(name, sizeof name, "publisher-%u", i);
		else if (service == REST_AUTH || service == REST_ROUTER)
			(void)snprintf(name, sizeof name, "%s",
			               service == REST_AUTH ? "auth" : "router");
		else
			rest_publisher_of(rest, &rest->subject, name);
		rest_ask(rest, name, request, deadline_ms, take_reply);
	}
	buf_free(&buf);
}
