#include "services/edge/subscription.h"

#include "common/clock.h"
#include "common/principal.h"
#include "common/wire.h"
#include "services/edge/query.h"
#include "services/edge/subscribe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOO_SLOW   "too slow: insights were not read in time; reconnect"
#define AWAY       "a service behind is away: reconnect later"
#define SINCE_MOST INT64_C(253402300799999) /* the year 9999 */

static struct subscription *of_feed(struct feed_subscriber *feed)
{
	return (struct subscription *)((char *)feed - offsetof(struct subscription, feed));
}

/* ---- the query ---- */

static void fault(struct subscription *subscription, const char *why)
{
	if (!subscription->is_bad)
		(void)snprintf(subscription->why, sizeof subscription->why, "%s", why);
	subscription->is_bad = true;
}

static void read_after(struct subscription *subscription, const char *value, const char *why)
{
	subscription->has_after = uuid_parse(value, &subscription->after);
	if (!subscription->has_after)
		fault(subscription, why);
}

static void read_since(struct subscription *subscription, const char *value)
{
	char *end;

	errno = 0;
	subscription->since_ms = strtoll(value, &end, 10);
	subscription->has_since = value[0] >= '0' && value[0] <= '9' && *end == '\0' &&
	                          errno == 0 && subscription->since_ms <= SINCE_MOST;
	if (!subscription->has_since)
		fault(subscription, "since: expected a time in ms since the epoch");
}

void subscription_read(struct subscription *subscription, const char *query,
                       const char *last_event_id)
{
	char value[UUID_TEXT];
	enum err err;

	subscription->is_bad = !filter_read(&subscription->filter, query, subscription->why);
	err = query_get(query, "after", value, sizeof value);
	if (last_event_id && *last_event_id)
		read_after(subscription, last_event_id,
		           "Last-Event-ID: expected the id of an insight");
	else if (err != ERR_NOT_FOUND)
		read_after(subscription, err == OK ? value : "",
		           "after: expected the id of an insight");
	err = query_get(query, "since", value, sizeof value);
	if (err == ERR_NOT_FOUND || (last_event_id && *last_event_id))
		return;
	read_since(subscription, err == OK ? value : "");
	if (subscription->has_after && subscription->has_since)
		fault(subscription, "after, since: expected one of them");
}

/* ---- its end ---- */

static void on_tell_timeout(void *ctx)
{
	socket_kill(ctx, 1013, TOO_SLOW);
}

static void too_slow(struct subscription *subscription)
{
	struct socket *socket = &subscription->socket;

	subscription->slow = true;
	socket->edge->metrics.subscribers_too_slow_total++;
	if (subscription->is_stream) {
		socket_kill(socket, 1013, TOO_SLOW);
		return;
	}
	feed_leave(socket->edge->feed, &subscription->feed);
	replay_free(TAKE(subscription->replay));
	timer_set(socket->edge->loop, &socket->timer, SUBSCRIBE_TELL_MS, on_tell_timeout, socket);
	net_drop_queued(socket->conn);
	if (net_queued_bytes(socket->conn) == 0)
		socket_end(socket, 1013, TOO_SLOW);
}

static void greet(struct subscription *subscription)
{
	static const char subscribed[] = "{\"status\":\"subscribed\"}";
	struct bytes json = BYTES(subscribed, sizeof subscribed - 1);

	timer_stop(subscription->socket.edge->loop, &subscription->socket.timer);
	if (subscription->send(subscription, NULL, json, NULL) != OK)
		too_slow(subscription);
}

/* ---- history ---- */

static const Raeh__Principal *principal_of(void *ctx)
{
	struct subscription *subscription = ctx;

	return grant_principal(&subscription->socket.user);
}

static bool has_room(void *ctx)
{
	struct subscription *subscription = ctx;

	return !subscription->slow && !subscription->socket.over &&
	       net_queued_bytes(subscription->socket.conn) < SUBSCRIPTION_ROOM_BYTES;
}

/* A token of one session hears nothing else. */
static bool is_of_session(const Raeh__Principal *principal, const Publisher__Insight *insight)
{
	struct uuid session, told;

	return !principal->has_session ||
	       (wire_id(principal->session, &session) && uuid_parse(insight->session_id, &told) &&
	        uuid_equal(&session, &told));
}

static bool wants(void *ctx, const Publisher__Insight *insight)
{
	struct subscription *subscription = ctx;
	const Raeh__Principal *principal = grant_principal(&subscription->socket.user);

	return principal && filter_passes(&subscription->filter, insight) &&
	       is_of_session(principal, insight) &&
	       (!principal->device_id || strcmp(principal->device_id, insight->device_id) == 0);
}

static void on_history(void *ctx, const char *id, struct bytes json)
{
	struct subscription *subscription = ctx;
	enum err err = subscription->send(subscription, id, json, NULL);

	MUST(err != ERR_LIMIT); /* there is room */
	if (err == OK)
		limit_count_insight(subscription->socket.limit);
}

static void end_replay(struct subscription *subscription)
{
	timer_stop(subscription->socket.edge->loop, &subscription->socket.timer);
	replay_free(TAKE(subscription->replay));
}

static void on_live(void *ctx)
{
	end_replay(ctx);
}

static void on_away(void *ctx)
{
	struct subscription *subscription = ctx;

	socket_end(&subscription->socket, 1013, AWAY);
}

static const struct replay_owner replay_owner = {
	.principal = principal_of,
	.has_room = has_room,
	.wants = wants,
	.on_insight = on_history,
	.on_live = on_live,
	.on_away = on_away,
};

/* Who takes nothing at all while history waits for it is too slow; who is paused for want of a
 * lease is not. */
static void on_stall_timer(void *ctx)
{
	struct subscription *subscription = ctx;
	struct edge *edge = subscription->socket.edge;
	int64_t since = subscription->moved_ms > edge->revived_ms ? subscription->moved_ms
	                                                          : edge->revived_ms;
	int64_t left = since + SUBSCRIPTION_STALL_MS - clock_boot_ms();

	if (has_room(subscription) || !grant_good(edge->grants, &subscription->socket.user))
		left = SUBSCRIPTION_STALL_MS;
	if (left > 0)
		timer_set(edge->loop, &subscription->socket.timer, left, on_stall_timer, ctx);
	else
		too_slow(subscription);
}

static void start_replay(struct subscription *subscription, const struct replay_from *from)
{
	struct edge *edge = subscription->socket.edge;

	subscription->moved_ms = clock_boot_ms();
	timer_set(edge->loop, &subscription->socket.timer, SUBSCRIPTION_STALL_MS, on_stall_timer,
	          subscription);
	subscription->replay = replay_new(&edge->replays, from, &subscription->feed,
	                                  &subscription->filter, &replay_owner, subscription);
}

static void replay_what_was_before(struct subscription *subscription)
{
	struct feed *feed = subscription->socket.edge->feed;
	unsigned n = feed_sources(feed);
	struct replay_from *from = xcalloc(n, sizeof *from);

	for (unsigned i = 0; i < n; i++)
		from[i] = subscription->has_after ? replay_after(&subscription->after, i, n)
		                                  : replay_since(subscription->since_ms);
	subscription->socket.edge->metrics.replays_total++;
	start_replay(subscription, from);
	mem_free(from);
}

/* The feed has fetched a hole: from this insight on the subscriber takes it from the history. */
static void replay_from_here(struct subscription *subscription, const struct feed_item *item)
{
	struct feed *feed = subscription->socket.edge->feed;
	unsigned n = feed_sources(feed);
	struct replay_from *from = xcalloc(n, sizeof *from);

	for (unsigned i = 0; i < n; i++) {
		struct feed_place place = feed_place(feed, i);

		if (i == item->source)
			place = (struct feed_place){ item->number - 1, item->insight->ts };
		from[i] = replay_since(place.made_ms);
		from[i].above = place.number;
	}
	feed_leave(feed, &subscription->feed);
	subscription->socket.edge->metrics.subscribers_behind_total++;
	start_replay(subscription, from);
	mem_free(from);
}

/* ---- live ---- */

static void on_insight(struct feed_subscriber *feed, const struct feed_item *item)
{
	struct subscription *subscription = of_feed(feed);
	enum err err;

	if (subscription->replay) {
		replay_hold(subscription->replay, item);
		return;
	}
	if (!wants(subscription, item->insight))
		return;
	err = subscription->send(subscription, item->insight->id, item->json, item->text);
	if (err == OK)
		limit_count_insight(subscription->socket.limit);
	else if (err == ERR_LIMIT && item->fetched)
		replay_from_here(subscription, item);
	else
		too_slow(subscription);
}

static void on_ready(struct feed_subscriber *feed)
{
	struct subscription *subscription = of_feed(feed);

	if (subscription->replay)
		replay_joined(subscription->replay);
	else
		greet(subscription);
}

/* ---- for the sockets ---- */

void subscription_admitted(struct socket *socket)
{
	struct subscription *subscription = (struct subscription *)socket;
	const Raeh__Principal *principal = grant_principal(&socket->user);

	if (!socket_has_scope(socket, SCOPE_SUBSCRIBE))
		return;
	if (subscription->is_bad) {
		socket_end(socket, 4004, subscription->why);
		return;
	}
	MUST(wire_id(principal->account, &subscription->feed.account));
	reads_note(socket->edge->reads, principal, "/stream/subscribe", "/stream/subscribe",
	           socket->origin);
	subscription->feed.on_insight = on_insight;
	subscription->feed.on_ready = on_ready;
	if (!subscription->has_after && !subscription->has_since) {
		feed_join(socket->edge->feed, &subscription->feed);
		return;
	}
	greet(subscription);
	if (!subscription->slow && !socket->over)
		replay_what_was_before(subscription);
}

/* Held to a device, it goes on when it asked for no other. */
bool subscription_may_go_on(const struct socket *socket, const Raeh__Principal *rights)
{
	const struct subscription *subscription = (const struct subscription *)socket;

	if (!(rights->scopes & SCOPE_SUBSCRIBE))
		return false;
	return !socket_device_narrows(socket, rights) ||
	       filter_is_only(&subscription->filter, rights->device_id);
}

/* What a subscriber sends is ignored. */
void subscription_message(struct socket *socket, bool binary, struct bytes message)
{
	(void)socket;
	(void)binary;
	(void)message;
}

void subscription_ended(struct socket *socket, int code, const char *reason)
{
	struct subscription *subscription = (struct subscription *)socket;

	(void)code;
	(void)reason;
	socket->edge->metrics.sockets_subscribe--;
	feed_leave(socket->edge->feed, &subscription->feed);
	replay_free(TAKE(subscription->replay));
}

void subscription_free(struct socket *socket)
{
	filter_done(&((struct subscription *)socket)->filter);
	mem_free(socket);
}

void subscription_drained(struct subscription *subscription)
{
	subscription->moved_ms = clock_boot_ms();
	if (subscription->slow)
		socket_end(&subscription->socket, 1013, TOO_SLOW);
	else if (subscription->replay)
		replay_go_on(subscription->replay);
}
