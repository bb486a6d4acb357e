#include "services/edge/rest_internal.h"

#include "common/json.h"
#include "common/principal.h"
#include "common/wire.h"
#include "services/edge/assets.h"
#include "services/edge/credential.h"
#include "services/edge/gather.h"
#include "services/edge/gzip.h"
#include "services/edge/problem.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ADMIT_MS             6000 /* for auth's verdict */
#define IDEMPOTENCY_KEY_MOST 255

/* ---- the end of a request ---- */

void rest_release(struct rest *rest)
{
	rest_drop_replies(rest);
	rest_drop_questions(rest);
	rest_hold(rest, 0);
	buf_free(&rest->pages);
	if (rest->request)
		wire_free(rest->request);
	origin_free(rest->origin);
	list_remove(&rest->link);
	mem_free(rest->fault_detail);
	mem_free(rest->path);
	mem_free(rest->query);
	mem_free(rest->if_none_match);
	mem_free(rest);
}

void rest_finish(struct rest *rest)
{
	const struct rest_stream *stream = TAKE(rest->stream);

	timer_stop(rest->edge->loop, &rest->timer);
	grant_leave(rest->edge->grants, &rest->user);
	list_remove(&rest->link);
	if (rest->conn)
		conn_set_user(rest->conn, NULL);
	rest->conn = NULL;
	if (stream)
		stream->gone(rest, rest->stream_ctx);
	if (rest->pending == 0)
		rest_release(rest);
	else
		list_append(&rest->edge->leaving, &rest->link);
}

/* ---- admission ---- */

/* The command ends what asks for it: its answer is told all the same. */
static bool ends_itself(const struct rest *rest, const Raeh__Principal *principal)
{
	const char *command = rest->route->command ? rest->route->command : "";
	struct uuid key, user;

	if (strcmp(command, "log_out") == 0 || strcmp(command, "change_password") == 0 ||
	    strcmp(command, "delete_account") == 0)
		return true;
	if (strcmp(command, "delete_user") == 0)
		return principal->has_user && wire_id(principal->user, &user) &&
		       uuid_equal(&user, &rest->subject);
	return rest->route->scope == SCOPE_KEYS && !rest_is_get(rest->route->method) &&
	       wire_id(principal->key, &key) && uuid_equal(&key, &rest->subject);
}

/* For a service that answers a repeat as it did the first. */
static void fill_op_id(ProtobufCMessage *request)
{
	uint8_t id[16];

	randombytes_buf(id, sizeof id);
	rest_set_bytes(request, "op_id", BYTES(id, sizeof id));
}

/* For a service that notes down who did what from where. */
static void fill_origin(ProtobufCMessage *request, const struct origin *origin)
{
	Raeh__Origin **place = rest_member(request, "origin"), message = origin_message(origin);

	if (place)
		*place = (Raeh__Origin *)wire_copy(&message.base);
}

/* principal: NULL when the row asks for no key. */
static void admitted(struct rest *rest, const Raeh__Principal *principal)
{
	timer_stop(rest->edge->loop, &rest->timer);
	if (principal && rest->request) {
		Raeh__Principal **place = rest_member(rest->request, "principal");

		*place = (Raeh__Principal *)wire_copy(&principal->base);
	}
	if (principal)
		rest->ends_itself = ends_itself(rest, principal);
	if (rest->request) {
		fill_op_id(rest->request);
		fill_origin(rest->request, rest->origin);
	}
	if (rest->route->here)
		rest->route->here(rest);
	else
		rest_ask_service(rest);
}

static struct rest *rest_of(struct grant_user *user)
{
	return (struct rest *)((char *)user - offsetof(struct rest, user));
}

/* A token of one session reads what is under /v1/sessions/{its id}; false: it was refused. */
static bool within_session(struct rest *rest, const Raeh__Principal *principal)
{
	static const char its[] = "/v1/sessions/{id}";
	struct uuid session;

	if (!principal->has_session)
		return true;
	if (strncmp(rest->route->path, its, sizeof its - 1) != 0)
		rest_refuse(rest, 403, "the token is of one session, and reads that alone", "");
	else if (!wire_id(principal->session, &session) || !uuid_equal(&session, &rest->subject))
		rest_refuse(rest, 404, "no such session", "");
	else
		return true;
	return false;
}

static void on_answer(struct grant_user *user, enum err err, const char *why)
{
	struct rest *rest = rest_of(user);
	const Raeh__Principal *principal;
	char detail[128];

	if (err != OK) {
		rest_refuse(rest, err == ERR_DENIED ? 401 : 503, why, "");
		return;
	}
	principal = grant_principal(user);
	if (!rest_within_limits(rest, principal))
		return;
	if ((principal->scopes & rest->route->scope) == 0) {
		(void)snprintf(detail, sizeof detail, "the API key lacks the scope %s",
		               scope_name(rest->route->scope));
		rest_refuse(rest, 403, detail, "");
	} else if (rest->fault) {
		rest_refuse(rest, rest->fault, rest->fault_detail, "");
	} else if (within_session(rest, principal)) {
		admitted(rest, principal);
	}
}

static void on_dead(struct grant_user *user, const char *why)
{
	struct rest *rest = rest_of(user);

	if (rest->conn && rest->answered)
		net_close_now(rest->conn, 1006, why); /* what was not yet out stays in */
	else if (rest->conn && !rest->ends_itself)
		rest_refuse(rest, strcmp(why, GRANT_NARROWED) == 0 ? 403 : 401, why, "");
}

/* What a service is asked for, it answers by the rights that were. */
static bool may_go_on(const struct grant_user *user, const Raeh__Principal *rights)
{
	const struct rest *rest = rest_of((struct grant_user *)user);
	const Raeh__Principal *was = grant_principal(user);

	if (rest->ends_itself)
		return true;
	if (!(rights->scopes & rest->route->scope))
		return false;
	return !rights->device_id ||
	       (was && was->device_id && strcmp(was->device_id, rights->device_id) == 0);
}

static void on_admit_timeout(void *ctx)
{
	rest_refuse(ctx, 503, "auth does not answer", "");
}

/* ---- reading a request ---- */

/* The first one is told. */
static void note_fault(struct rest *rest, int status, const char *detail)
{
	if (rest->fault)
		return;
	rest->fault = status;
	rest->fault_detail = xstrdup(detail);
}

/* A DELETE that a password is asked for has one too. */
bool rest_has_body(const struct rest_route *route)
{
	return strcmp(route->method, "POST") == 0 || strcmp(route->method, "PUT") == 0 ||
	       strcmp(route->method, "PATCH") == 0 ||
	       (strcmp(route->method, "DELETE") == 0 && route->here == cookie_here);
}

/* What net has left: "%2F" and "%25". */
static void decode_rest(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (*text == '%' && text[1] == '2' && text[2]) {
			*to++ = text[2] == '5' ? '%' : '/';
			text += 2;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/* False: it is no UTF-8, so there is no such object. */
static bool read_parameter(struct rest *rest, const struct rest_param *param,
                           ProtobufCMessage *command)
{
	char name[32];
	char **place;

	(void)snprintf(name, sizeof name, "%.*s", (int)param->name_len, param->name);
	place = rest_member(command, name);
	MUST(place != NULL);
	*place = xmemdup(param->value, param->len + 1);
	(*place)[param->len] = '\0';
	decode_rest(*place);
	(void)uuid_parse(*place, &rest->subject); /* garbage: the first publisher says 404 */
	return utf8_valid(*place, strlen(*place));
}

/* Into the command: the path first, so that it wins. A fault is kept until auth has said who
 * asks: authentication comes before everything else. */
static void read_command(struct rest *rest, const struct net_request *request,
                         const struct rest_param *params, size_t n_params)
{
	ProtobufCMessage *command = rest_choose(rest->request, rest->route->command);
	char why[JSON_WHY];
	char **address = rest_member(command, "address");
	enum err err;

	if (address) /* the client's, whatever the body says */
		*address = xstrdup(request->peer);
	for (size_t i = 0; i < n_params; i++)
		if (!read_parameter(rest, &params[i], command)) {
			note_fault(rest, 404, "no such object");
			return;
		}
	err = rest_has_body(rest->route) ? json_to_message(request->body, command, why)
	                                 : json_from_query(request->query, command, why);
	if (err != OK)
		note_fault(rest, 400, why);
	if (request->prefer && strcasestr(request->prefer, "respond-async"))
		rest_set_flag(command, "respond_async");
}

/* A POST but those of a login, which is made anew each time, and changed or ended by itself alone:
 * its repeat is a login, 401, or 403 for a password that is none any more. */
bool rest_is_repeatable(const struct rest_route *route)
{
	return strcmp(route->method, "POST") == 0 &&
	       (route->scope == 0 ? strcmp(route->command, "log_in") != 0
	                          : route->here != cookie_here);
}

/* A POST with an Idempotency-Key is named by it and its path. */
static void read_idempotency_key(struct rest *rest, const struct net_request *request)
{
	const char *key = request->idempotency_key;
	crypto_generichash_state state;
	uint8_t name[16], body[16] = { 0 };

	if (!key || !rest_is_repeatable(rest->route))
		return;
	if (strlen(key) < 1 || strlen(key) > IDEMPOTENCY_KEY_MOST) {
		note_fault(rest, 400, "Idempotency-Key: expected 1 to 255 characters");
		return;
	}
	(void)crypto_generichash_init(&state, NULL, 0, sizeof name);
	(void)crypto_generichash_update(&state, (const uint8_t *)request->path,
	                                strlen(request->path) + 1);
	(void)crypto_generichash_update(&state, (const uint8_t *)key, strlen(key));
	(void)crypto_generichash_final(&state, name, sizeof name);
	if (rest->route->scope != 0) /* else it holds a password: nothing is made of that */
		(void)crypto_generichash(body, sizeof body, request->body.data, request->body.len,
		                         NULL, 0);
	rest_set_once(rest->request, BYTES(name, sizeof name), BYTES(body, sizeof body));
}

static bool is_json(const char *content_type)
{
	return !content_type || (strncasecmp(content_type, "application/json", 16) == 0 &&
	                         strchr("; \t", content_type[16]));
}

/* 0, or the status of what is wrong with the request before its key is looked at. */
static int envelope_fault(const struct rest_route *route, const struct net_request *request,
                          const char **ret_detail)
{
	if (request->too_large) {
		*ret_detail = "body: expected at most 262144 bytes, got more";
		return 413;
	}
	if (!rest_has_body(route))
		return 0;
	if (!request->has_length && rest_needs_body(route)) {
		*ret_detail = "Content-Length: required";
		return 411;
	}
	if (request->body.len > 0 && !is_json(request->content_type)) {
		*ret_detail = "Content-Type: expected application/json";
		return 415;
	}
	return 0;
}

/* What another site's page makes a browser send is refused, once auth has said who asks. */
static void note_forgery(struct rest *rest, const struct net_request *request,
                         const char *credential)
{
	bool login = cookie_is_login(credential);

	if (login)
		cookie_csrf(credential, rest->csrf);
	if (rest_is_get(request->method))
		return;
	if (login && !cookie_csrf_good(request, rest->csrf))
		note_fault(rest, 403, "X-CSRF-Token: expected the token of GET /v1/me");
	else if (!credential[0] && !cookie_is_own_origin(request))
		note_fault(rest, 403, "Origin: another site's page may not ask this");
}

static struct rest *rest_new(struct edge *edge, struct conn *conn,
                             const struct net_request *request, const struct rest_route *route)
{
	struct rest *rest = xcalloc(1, sizeof *rest);

	rest->edge = edge;
	rest->conn = conn;
	rest->route = route;
	rest->secure = request->tls;
	rest->head = strcmp(request->method, "HEAD") == 0;
	if (rest_is_get(request->method)) {
		rest->path = xstrdup(request->path);
		rest->query = xstrdup(request->query);
		rest->takes_gzip = gzip_wanted(request->accept_encoding);
		if (request->if_none_match)
			rest->if_none_match = xstrdup(request->if_none_match);
	}
	rest->request = rest_request_new(route->service);
	rest->origin = origin_new(request);
	list_init(&rest->questions);
	rest->user.kind = NET_HTTP;
	rest->user.on_answer = on_answer;
	rest->user.on_dead = on_dead;
	rest->user.may_go_on = may_go_on;
	rest->user.from = rest->origin;
	conn_set_user(conn, rest);
	list_append(&edge->requests, &rest->link);
	return rest;
}

/* Everything but the key was looked at. credential: "" when the row asks for none. */
static void admit(struct rest *rest, const char *credential)
{
	if (rest->route->scope != 0) {
		timer_set(rest->edge->loop, &rest->timer, ADMIT_MS, on_admit_timeout, rest);
		grant_enter(rest->edge->grants, credential, &rest->user);
	} else if (rest->fault) {
		rest_refuse(rest, rest->fault, rest->fault_detail, "");
	} else {
		admitted(rest, NULL);
	}
}

static void start(struct edge *edge, struct conn *conn, const struct net_request *request,
                  const struct rest_route *route, const struct rest_param *params, size_t n_params)
{
	struct rest *rest = rest_new(edge, conn, request, route);
	char credential[CREDENTIAL_MAX + 1] = "", why[124];
	enum credential_fault fault = CREDENTIAL_GOOD;
	const char *detail = "";
	int status;

	if (route->scope != 0)
		fault = credential_find(request, credential, why);
	if (fault != CREDENTIAL_GOOD) {
		rest_refuse(rest, fault == CREDENTIAL_TWO ? 400 : 401, why, "");
		return;
	}
	status = envelope_fault(route, request, &detail);
	if (status != 0) {
		rest_refuse(rest, status, detail, "");
	} else {
		note_forgery(rest, request, credential);
		if (rest->request && !rest->fault) {
			read_command(rest, request, params, n_params);
			read_idempotency_key(rest, request);
		}
		admit(rest, credential);
	}
	sodium_memzero(credential, sizeof credential);
}

/* ---- from net ---- */

static bool route_takes(const struct rest_route *route, const char *method)
{
	return strcmp(route->method, method) == 0 ||
	       (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void find_route(struct edge *edge, struct conn *conn, const struct net_request *request)
{
	struct rest_param params[REST_PATH_PARAMS];
	char allow[128] = "";
	size_t n;

	for (size_t i = 0; i < rest_route_count; i++) {
		const struct rest_route *route = &rest_routes[i];
		size_t len = strlen(allow);

		if (!rest_path_matches(route->path, request->path, params, &n))
			continue;
		if (route_takes(route, request->method)) {
			start(edge, conn, request, route, params, n);
			return;
		}
		(void)snprintf(allow + len, sizeof allow - len, "%s%s%s",
		               len ? ", " : "Allow: ", route->method,
		               strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
	}
	if (allow[0]) {
		(void)strncat(allow, ", OPTIONS\r\n", sizeof allow - strlen(allow) - 1);
		problem_respond(conn, 405, "this method is not for this path", allow);
	} else if (!assets_answer_page(assets, assets_count, conn, request)) {
		problem_respond(conn, 404, "no such path", "");
	}
}

void rest_request(struct edge *edge, struct conn *conn, const struct net_request *request)
{
	if (strcmp(request->method, "OPTIONS") == 0)
		rest_answer_options(conn);
	else if (request->listener != REST_ADMIN_LISTENER &&
	         assets_answer(assets, assets_count, conn, request))
		return;
	else if (rest_answer_open(edge, conn, request))
		return;
	else if (request->listener == REST_ADMIN_LISTENER)
		problem_respond(conn, 404, "the admin address has /metrics, /healthz, /readyz", "");
	else
		find_route(edge, conn, request);
}

void rest_gone(struct edge *edge, struct conn *conn)
{
	gather_gone(edge, conn);
	rest_open_gone(edge, conn);
	if (conn_user(conn))
		rest_finish(conn_user(conn));
}

size_t rest_count(struct edge *edge)
{
	size_t n = 0;

	LIST_EACH(link, &edge->requests)
	n++;
	return n;
}

void rest_free_all(struct edge *edge)
{
	struct list *link;

	while ((link = list_first(&edge->requests)) != NULL ||
	       (link = list_first(&edge->leaving)) != NULL) {
		struct rest *rest = LIST_OWNER(link, struct rest, link);

		rest->conn = NULL;
		rest->pending = 0;
		rest_finish(rest);
	}
	rest_open_free_all(edge);
}
