/*
 * bus - requests and broadcasts between the processes of one installation.
 *
 *     bus_request("router", …) ──► bus_serve("router")     bus_reply()  ──► reply_fn
 *     bus_publish("auth.notices") ─► every bus_subscribe("auth.notices")
 *
 * A name is an address: `auth`, `auth.lease`, `router`, `publisher-0`, `edge-1` … The
 * seam is small so that another engine can stand behind it: unix sockets (bus_unix.c) on
 * one host, nng over mutual TLS (bus_nng.c) between hosts, the simulation's lossy network.
 *
 * Promises
 *   - nothing here blocks; every callback comes from the owner's loop;
 *   - a request's reply_fn is called exactly once: with the reply, or with
 *     ERR_UNAVAILABLE when its deadline passed, or ERR_LIMIT when BUS_MAX_WAITING
 *     requests already wait for that name;
 *   - a request or reply larger than BUS_MAX_BYTES is ERR_LIMIT for who asked;
 *   - a request is sent again while unanswered, so it MAY ARRIVE MORE THAN ONCE, and a
 *     late copy may arrive after the deadline: every request is idempotent by design;
 *   - broadcasts may be lost, repeated or late. Nothing that must arrive relies on one;
 *   - bus_close() calls nobody back and frees the calls that wait for an answer with it,
 *     so an actor is done before its bus. It is not called from a callback of the bus.
 *
 * Ownership: request and event bytes are borrowed for the call, in both directions.
 */
#ifndef COMMON_BUS_H
#define COMMON_BUS_H

#include "common/err.h"
#include "common/loop.h"
#include "common/mem.h"

#define BUS_MAX_BYTES   (4u * 1024 * 1024) /* one message; larger is refused on both sides */
#define BUS_MAX_WAITING 65536              /* requests to one name, sent or queued         */
#define BUS_MAX_IN_AIR  48                 /* of these, sent and unanswered                */
#define BUS_RESEND_MS   400                /* a request unanswered that long is sent again */
#define BUS_NAME_MAX    48

struct bus;
struct bus_call; /* one request that waits for its answer */

typedef void bus_reply_fn(void *ctx, enum err err, struct bytes reply);
typedef void bus_call_fn(void *ctx, struct bus_call *call, struct bytes request);
typedef void bus_event_fn(void *ctx, struct bytes event);

/* directory: where the ipc sockets of the installation live (mode 0700, made if it is
 * missing), or NULL when tls is given. */
struct bus_config {
	const char *directory;
	const char *tls_ca, *tls_cert_key; /* PEM files; with hosts: between containers    */
	const char *hosts;                 /* "auth=auth:7101,router=router:7102,…"        */
};

CHECKED enum err bus_open(struct loop *loop, const struct bus_config *config, struct bus **ret);
void bus_close(struct bus *bus);
AUTO_FREE(struct bus, bus_close)

/* Lower priority numbers are served first within a turn (0 = leases and revokes, 1 = rest). */
CHECKED enum err bus_serve(struct bus *bus, const char *name, int priority, bus_call_fn *fn,
                           void *ctx);
/* Answers and frees the call; exactly one of the two, at any later time. */
void bus_reply(struct bus_call *call, struct bytes reply);
void bus_drop(struct bus_call *call);

/* deadline_ms counts from now, as a timer's delay does: 3000 = three seconds. */
void bus_request(struct bus *bus, const char *name, struct bytes request, int64_t deadline_ms,
                 bus_reply_fn *fn, void *ctx);

/* Makes the channel on first use. ERR_LIMIT: the message is larger than BUS_MAX_BYTES. */
CHECKED enum err bus_publish(struct bus *bus, const char *name, struct bytes event);
CHECKED enum err bus_subscribe(struct bus *bus, const char *name, int priority, bus_event_fn *fn,
                               void *ctx);

/* Requests of this process that wait for an answer, sent or queued: for metrics. */
uint64_t bus_unanswered(void);

/* What the last failed call met, in words. Never NULL. */
const char *bus_why(const struct bus *bus);

/* Behind the seam: what an engine provides. The public functions above only dispatch. */
struct bus_ops {
	void (*close)(struct bus *bus);
	enum err (*serve)(struct bus *bus, const char *name, int priority, bus_call_fn *fn,
	                  void *ctx);
	void (*reply)(struct bus_call *call, struct bytes reply);
	void (*drop)(struct bus_call *call);
	void (*request)(struct bus *bus, const char *name, struct bytes request,
	                int64_t deadline_ms, bus_reply_fn *fn, void *ctx);
	enum err (*publish)(struct bus *bus, const char *name, struct bytes event);
	enum err (*subscribe)(struct bus *bus, const char *name, int priority, bus_event_fn *fn,
	                      void *ctx);
	const char *(*why)(const struct bus *bus);
};
struct bus {
	const struct bus_ops *ops;
};
struct bus_call {
	const struct bus_ops *ops;
};

#endif
