/*
 * edge - accepts the sockets of devices and apps; keeps nothing.
 *
 *     devices, apps ──ws, http──► edge ──bus──► auth, router, publisher-<n>
 *
 * This file only assembles: settings, the sandbox, the slot's lock, listening
 * sockets, the actor, net.
 */
#include "common/log.h"
#include "common/process.h"
#include "services/edge/edge.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#define STATUS_SETTINGS 2  /* no restart heals it: `raeh up` gives up */
#define OWN_DESCRIPTORS 64 /* besides the clients' sockets and the bus: libraries, log, lock */

struct settings {
	const char *tls_cert, *tls_key;
	int64_t slot, listen_fd, admin_fd, edges, publishers, idle_timeout_s, pause_timeout_s,
	        max_message_bytes, max_conns, limit[LIMIT_KINDS], address_connections,
	        address_handshakes;
	bool echo, behind_proxy;
};

/* Held for the life of the process: whoever holds it knows that the edge before is dead. */
static bool lock_slot(const struct process *process, int64_t slot)
{
	char *path = xasprintf("%s/run/edge-%d.lock", process->data, (int)slot);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	bool held = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;

	if (!held)
		log_error("slot-taken", "path=%s", path);
	mem_free(path);
	return held;
}

static void on_stop(void *ctx)
{
	edge_drain(ctx);
}

/* A client must not take the descriptors that the bus needs to find a service again. */
static size_t conns_allowed(const struct settings *set)
{
	int64_t own = OWN_DESCRIPTORS + 4 * (set->publishers + set->edges), most;
	struct rlimit limit;

	MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	most = limit.rlim_cur > INT32_MAX ? INT32_MAX : (int64_t)limit.rlim_cur - own;
	if (set->max_conns <= most)
		return (size_t)set->max_conns;
	if (most < 1)
		most = 1;
	log_warn("few-descriptors", "limit=%lld sockets=%lld wanted=%lld",
	         (long long)limit.rlim_cur, (long long)most, (long long)set->max_conns);
	return (size_t)most;
}

static struct limit_settings limits_of(const struct settings *set)
{
	struct limit_settings limits = {
		.address_connections = (unsigned)set->address_connections,
		.address_handshakes = (unsigned)set->address_handshakes,
	};

	for (size_t kind = 0; kind < LIMIT_KINDS; kind++)
		limits.of_key[kind] = (uint64_t)set->limit[kind];
	return limits;
}

static int run(struct process *process, const struct settings *set)
{
	const struct edge_settings edge_settings = {
		.slot = (uint32_t)set->slot,
		.publishers = (unsigned)set->publishers,
		.edges = (unsigned)set->edges,
		.idle_timeout_ms = set->idle_timeout_s * 1000,
		.pause_most_ms = set->pause_timeout_s * 1000,
		.limits = limits_of(set),
		.holds_slot_lock = true,
		.behind_proxy = set->behind_proxy,
	};
	const int listen_fds[] = { (int)set->listen_fd, (int)set->admin_fd };
	const struct net_config config = {
		.listen_fds = listen_fds,
		.n_listen_fds = set->admin_fd >= 0 ? 2 : 1,
		.tls_cert = set->tls_cert,
		.tls_key = set->tls_key,
		.max_message_bytes = (size_t)set->max_message_bytes,
		.max_conns = conns_allowed(set),
		.echo = set->echo,
		.behind_proxy = set->behind_proxy,
		.deflate = true,
	};
	AUTO(edge_free) struct edge *edge = edge_new(&edge_settings, process->loop, process->bus);
	AUTO(net_free) struct net *net = NULL;
	char why[256];
	enum err err;

	if (!edge)
		return EXIT_FAILURE;
	err = net_open(&config, process->loop, &edge_net_events, edge, why, &net);
	if (err != OK) {
		log_error("net", "why=\"%s\"", why);
		return err == ERR_MALFORMED ? STATUS_SETTINGS : EXIT_FAILURE;
	}
	edge_set_net(edge, net);
	loop_on_signal(process->loop, SIGTERM, on_stop, edge);
	loop_on_signal(process->loop, SIGINT, on_stop, edge);
	log_info("started", "slot=%d publishers=%d", (int)set->slot, (int)set->publishers);
	net_run(net);
	log_info("stopped", "slot=%d", (int)set->slot);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct settings set;
	const struct config_item items[] = {
		{"slot",		                            CONFIG_INT, &set.slot, "0", 0, 255, "which edge of this installation" },
		{ "listen-fd",		                        CONFIG_INT, &set.listen_fd, "3", 0, 65535,
                 "inherited listening socket" },
		{ "admin-fd",		                                CONFIG_INT, &set.admin_fd, "-1", -1, 65535,
                 "inherited socket of the admin address; -1: none" },
		{ "edges",                CONFIG_INT, &set.edges, "1", 1, 256, "edges that run" },
		{ "publishers",		                      CONFIG_INT, &set.publishers, "1", 1, 64, "publishers that run" },
		{ "idle-timeout-s",                                   CONFIG_INT, &set.idle_timeout_s, "60", 1, 86400,
                 "close an ingest socket without frames after this" },
		{ "pause-timeout-s",		                                CONFIG_INT, &set.pause_timeout_s, "60", 1, 86400,
                 "close with 1013 what could not be read or written for this" },
		{ "max-message-bytes",                      CONFIG_INT, &set.max_message_bytes, "1048576", 1024, 1048576,
                 "largest WebSocket message" },
		{ "max-conns",		                       CONFIG_INT, &set.max_conns, "19000", 16, 1000000,
                 "sockets at once" },
		{ "limit-frames",		                    CONFIG_INT, &set.limit[LIMIT_FRAMES], "20000", 0, 1000000,
                 "frames a second of a key without a rate_limit; 0, here and below: no limit" },
		{ "limit-bytes",		                               CONFIG_INT, &set.limit[LIMIT_BYTES], "67108864", 0, INT32_MAX,
                 "bytes of frames a second of a key" },
		{ "limit-requests", CONFIG_INT, &set.limit[LIMIT_REQUESTS], "200", 0, 1000000,
                 "REST requests a second of a key; five times as many at once" },
		{ "limit-connections",		                          CONFIG_INT, &set.limit[LIMIT_CONNECTIONS], "2000", 0,
                 1000000, "sockets that a key opens in a second; ten times as many at once" },
		{ "limit-sockets",		                       CONFIG_INT, &set.limit[LIMIT_SOCKETS], "20000", 0, 10000000,
                 "open sockets of a key" },
		{ "address-connections",		                                CONFIG_INT, &set.address_connections, "200", 0, 1000000,
                 "connections a second from an address; ten times as many at once" },
		{ "address-handshakes",                                 CONFIG_INT, &set.address_handshakes, "1000", 0, 1000000,
                 "connections of an address without a request yet" },
		{ "tls-cert",		                     CONFIG_TEXT, &set.tls_cert, NULL, 0, 0, "PEM file" },
		{ "tls-key",		                  CONFIG_TEXT, &set.tls_key, NULL, 0, 0, "PEM file" },
		{ "echo",		                                CONFIG_FLAG, &set.echo, NULL, 0, 0,
                 "offer an authenticated /echo WebSocket" },
		{ "behind-proxy",                            CONFIG_FLAG, &set.behind_proxy, NULL, 0, 0,
                 "trust X-Forwarded-For" },
		{ 0		                },
	};
	struct process process = { 0 };
	int status = process_start(&process, "edge", items, argc, argv);

	if (status >= 0)
		return status;
	if (!process_enter(&process, NULL) || !lock_slot(&process, set.slot))
		return EXIT_FAILURE;
	status = run(&process, &set);
	process_done(&process);
	return status;
}
