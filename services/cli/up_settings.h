/*
 * up_settings - what `raeh up` is told, checked before anything is started.
 *
 * It knows every setting of every service, so that it alone can refuse a name in the
 * settings file that nobody reads.
 */
#ifndef CLI_UP_SETTINGS_H
#define CLI_UP_SETTINGS_H

#include "services/cli/cli.h"
#include "services/cli/listen.h"

#define UP_MAX_EDGES      32
#define UP_MAX_PUBLISHERS 64

struct up_settings {
	const char *data, *listen, *admin, *tls_cert, *tls_key, *log_level, *sign_up;
	const char *bus_ca, *bus_cert, *bus_hosts; /* read by the services themselves */
	int64_t edges, publishers, lease_ms, idle_timeout_s, pause_timeout_s, retain_frames_s,
	        retain_insights_s;
	int64_t limit_frames, limit_bytes, limit_requests, limit_connections, limit_sockets,
	        address_connections, address_handshakes;
	bool echo, behind_proxy, demo;
	struct listen_address address, admin_address;
};

/* Reads them. extra: one more row of the command's own, or NULL. -1: go on; else the exit
 * status, and everything has been said. */
int up_settings_load(const struct command *self, int argc, char **argv,
                     const struct config_item *extra, struct up_settings *ret);

/* Whether a stack can run with them, as far as they alone say; sets address. */
bool up_settings_check(struct up_settings *settings, char why[256]);

/* Why this stack may not be opened to that address, or NULL. */
const char *up_settings_refusal(const struct up_settings *settings);

#endif
