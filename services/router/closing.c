#include "services/router/closing.h"

#include "common/clock.h"
#include "common/log.h"
#include "publisher.pb-c.h"
#include "services/router/core.h"
#include "services/router/reconcile.h"
#include "services/router/sessions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct queued {
	struct queued *next;
	struct closing closing;
};
/* One request under way. */
struct flight {
	struct closings *closings;
	struct closing closing;
	bool busy;
};
struct closings {
	struct router *router;
	struct queued *first, *last;
	size_t queued, in_air;
	struct flight flight[CLOSING_IN_AIR];
	int64_t paused_until_ms[ROUTER_MAX_PUBLISHERS]; /* boot time */
	struct timer timer;
};

struct closings *closings_new(struct router *router)
{
	struct closings *closings = xcalloc(1, sizeof *closings);

	closings->router = router;
	for (size_t i = 0; i < CLOSING_IN_AIR; i++)
		closings->flight[i].closings = closings;
	return closings;
}

static bool pop(struct closings *closings, struct closing *ret)
{
	struct queued *first = closings->first;

	if (!first)
		return false;
	*ret = first->closing;
	closings->first = first->next;
	closings->queued--;
	mem_free(first);
	return true;
}

void closings_free(struct closings *closings)
{
	struct closing unused;

	if (!closings)
		return;
	timer_stop(closings->router->deps.loop, &closings->timer);
	while (pop(closings, &unused))
		;
	mem_free(closings);
}

size_t closings_count(const struct closings *closings)
{
	return closings->queued + closings->in_air;
}

static unsigned publisher_of(const struct closings *closings, const struct closing *closing)
{
	return closing->partition % closings->router->deps.publishers;
}

static void on_time(void *ctx);

static void soon(struct closings *closings)
{
	timer_set(closings->router->deps.loop, &closings->timer, 0, on_time, closings);
}

static bool is_done(enum err err, struct bytes bytes)
{
	Publisher__PublisherReply *reply = NULL;
	bool done;

	if (err == OK)
		reply = (Publisher__PublisherReply *)wire_unpack(
		        &publisher__publisher_reply__descriptor, bytes);
	done = reply && !reply->error;
	if (reply)
		wire_free(&reply->base);
	return done;
}

static void on_reply(void *ctx, enum err err, struct bytes reply)
{
	struct flight *flight = ctx;
	struct closings *closings = flight->closings;
	struct router *router = closings->router;
	struct closing *closing = &flight->closing;

	flight->busy = false;
	closings->in_air--;
	soon(closings);
	if (!is_done(err, reply)) {
		log_warn("closing-failed", "publisher=%u err=%s", publisher_of(closings, closing),
		         err_name(err));
		router->metrics.closings_dropped_total++;
		if (err != OK)
			closings->paused_until_ms[publisher_of(closings, closing)] =
			        clock_boot_ms() + CLOSING_PAUSE_MS;
	} else {
		router->metrics.orphans_closed_total++;
		sessions_close(router, &closing->account, &closing->session,
		               &(struct session_end){ closing->code, closing->reason,
		                                      closing->ended_at, closing->epoch },
		               NULL, NULL);
	}
}

static void ask(struct closings *closings, const struct closing *closing)
{
	Publisher__PublisherRequest request = PUBLISHER__PUBLISHER_REQUEST__INIT;
	Publisher__CloseOrphan orphan = PUBLISHER__CLOSE_ORPHAN__INIT;
	Publisher__Closing how = PUBLISHER__CLOSING__INIT;
	struct flight *flight = closings->flight;
	struct buf buf = { 0 };
	char name[BUS_NAME_MAX];

	while (flight->busy)
		flight++;
	flight->busy = true;
	flight->closing = *closing;
	closings->in_air++;
	how.close_code = closing->code;
	how.close_reason = (char *)closing->reason;
	how.ended_at = flight->closing.ended_at = clock_wall_ms();
	orphan.account = wire_bytes_of(&closing->account);
	orphan.session = wire_bytes_of(&closing->session);
	orphan.partition = closing->partition;
	orphan.closing = &how;
	orphan.has_epoch = 1;
	orphan.epoch = closing->epoch;
	request.command_case = PUBLISHER__PUBLISHER_REQUEST__COMMAND_CLOSE_ORPHAN;
	request.close_orphan = &orphan;
	(void)snprintf(name, sizeof name, "publisher-%u", publisher_of(closings, closing));
	bus_request(closings->router->deps.bus, name, wire_pack(&buf, &request.base),
	            CLOSING_DEADLINE_MS, on_reply, flight);
	buf_free(&buf);
}

static void on_time(void *ctx)
{
	struct closings *closings = ctx;
	struct closing closing;

	while (closings->in_air < CLOSING_IN_AIR && pop(closings, &closing)) {
		if (closings->paused_until_ms[publisher_of(closings, &closing)] <= clock_boot_ms())
			ask(closings, &closing);
		else
			closings->router->metrics.closings_dropped_total++;
	}
}

bool closings_add(struct closings *closings, const struct closing *closing)
{
	struct queued *queued;

	if (closings->queued >= RECONCILE_MAX)
		return false;
	queued = xcalloc(1, sizeof *queued);
	queued->closing = *closing;
	if (closings->first)
		closings->last->next = queued;
	else
		closings->first = queued;
	closings->last = queued;
	closings->queued++;
	soon(closings);
	return true;
}
