#include "services/cli/up_settings.h"

#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The settings file lies in the data directory, which is itself a setting: look for it
 * first. */
static const char *data_from(int argc, char **argv)
{
	const char *ret = getenv("RAEH_DATA") ? getenv("RAEH_DATA") : "./data";

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--data") == 0 && i + 1 < argc)
			ret = argv[i + 1];
		else if (strncmp(argv[i], "--data=", 7) == 0)
			ret = argv[i] + 7;
	}
	return ret;
}

const char *up_settings_refusal(const struct up_settings *settings)
{
	if (!settings->tls_cert != !settings->tls_key)
		return "--tls-cert and --tls-key go together";
	if (!listen_is_loopback(&settings->address) && !settings->tls_cert &&
	    !settings->behind_proxy)
		return "an address other than loopback needs --tls-cert and --tls-key, or "
		       "--behind-proxy when a proxy in front speaks TLS: keys and health data "
		       "would cross the network in the clear";
	return NULL;
}

static const char *const levels[] = { "debug", "info", "warn", "error" };
static const char *const sign_ups[] = { "open", "closed", "first" };

static bool is_one_of(const char *const *names, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(text, names[i]) == 0)
			return true;
	return false;
}

bool up_settings_check(struct up_settings *settings, char why[256])
{
	const char *const files[] = { settings->tls_cert, settings->tls_key };
	const char *refusal;
	char place[256];

	if (!listen_parse(settings->listen, &settings->address, place) ||
	    (settings->admin && !listen_parse(settings->admin, &settings->admin_address, place))) {
		(void)snprintf(why, 256, "--listen, --admin: %.220s", place);
		return false;
	}
	if (!is_one_of(levels, ARRAY_LEN(levels), settings->log_level)) {
		(void)snprintf(why, 256,
		               "--log-level: expected debug, info, warn or error, got \"%.40s\"",
		               settings->log_level);
		return false;
	}
	if (!settings->sign_up)
		settings->sign_up =
		        listen_is_loopback(&settings->address) && !settings->behind_proxy
		                ? "open"
		                : "closed";
	if (!is_one_of(sign_ups, ARRAY_LEN(sign_ups), settings->sign_up)) {
		(void)snprintf(why, 256, "--sign-up: expected open, closed or first, got \"%.40s\"",
		               settings->sign_up);
		return false;
	}
	refusal = up_settings_refusal(settings);
	if (refusal) {
		(void)snprintf(why, 256, "--listen %.40s: %s", settings->listen, refusal);
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (!files[i] || access(files[i], R_OK) == 0)
			continue;
		(void)snprintf(why, 256, "%.200s: cannot be read: %s", files[i], strerror(errno));
		return false;
	}
	return true;
}

int up_settings_load(const struct command *self, int argc, char **argv,
                     const struct config_item *extra, struct up_settings *ret)
{
	/* clang-format off */
	const struct config_item items[] = {
		{ "data", CONFIG_TEXT, &ret->data, "./data", 0, 0,
		  "directory of the installation; DIR/raeh.conf holds settings" },
		{ "listen", CONFIG_TEXT, &ret->listen, "127.0.0.1:8080", 0, 0,
		  "ADDR:PORT, the public address" },
		{ "edges", CONFIG_INT, &ret->edges, "1", 1, UP_MAX_EDGES,
		  "processes that hold the sockets" },
		{ "publishers", CONFIG_INT, &ret->publishers, "1", 1, UP_MAX_PUBLISHERS,
		  "processes that store and analyse" },
		{ "behind-proxy", CONFIG_FLAG, &ret->behind_proxy, NULL, 0, 0,
		  "a proxy in front speaks TLS and sets X-Forwarded-For" },
		{ "tls-cert", CONFIG_TEXT, &ret->tls_cert, NULL, 0, 0,
		  "PEM file: certificate chain" },
		{ "tls-key", CONFIG_TEXT, &ret->tls_key, NULL, 0, 0, "PEM file: its private key" },
		{ "admin", CONFIG_TEXT, &ret->admin, NULL, 0, 0,
		  "ADDR:PORT for /metrics; off unless given" },
		{ "lease-ms", CONFIG_INT, &ret->lease_ms, "30000", 1000, 600000,
		  "how long an edge that is cut off may go on" },
		{ "idle-timeout-s", CONFIG_INT, &ret->idle_timeout_s, "60", 1, 86400,
		  "a device that sends no frame for so long is closed" },
		{ "pause-timeout-s", CONFIG_INT, &ret->pause_timeout_s, "60", 1, 86400,
		  "a socket that a stopped service holds up so long is closed" },
		{ "retain-frames-s", CONFIG_INT, &ret->retain_frames_s, "0", 0, INT32_MAX,
		  "frames that came longer ago are removed; 0: kept for ever" },
		{ "retain-insights-s", CONFIG_INT, &ret->retain_insights_s, "0", 0, INT32_MAX,
		  "insights published longer ago are removed; 0: kept for ever" },
		{ "limit-frames", CONFIG_INT, &ret->limit_frames, "20000", 0, 1000000,
		  "frames a second of a key; 0, here and below: no limit" },
		{ "limit-bytes", CONFIG_INT, &ret->limit_bytes, "67108864", 0, INT32_MAX,
		  "bytes of frames a second of a key" },
		{ "limit-requests", CONFIG_INT, &ret->limit_requests, "200", 0, 1000000,
		  "REST requests a second of a key" },
		{ "limit-connections", CONFIG_INT, &ret->limit_connections, "2000", 0, 1000000,
		  "sockets that a key opens in a second" },
		{ "limit-sockets", CONFIG_INT, &ret->limit_sockets, "20000", 0, 10000000,
		  "open sockets of a key" },
		{ "address-connections", CONFIG_INT, &ret->address_connections, "200", 0, 1000000,
		  "connections a second from an address" },
		{ "address-handshakes", CONFIG_INT, &ret->address_handshakes, "1000", 0, 1000000,
		  "connections of an address without a request yet" },
		{ "sign-up", CONFIG_TEXT, &ret->sign_up, NULL, 0, 0,
		  "who may make an account in the dashboard: open, closed, first (until there is "
		  "one); by default open on loopback, closed elsewhere" },
		{ "echo", CONFIG_FLAG, &ret->echo, NULL, 0, 0,
		  "offer /echo, for conformance tests" },
		{ "demo", CONFIG_FLAG, &ret->demo, NULL, 0, 0,
		  "with a demo account, a simulated watch and live insights" },
		{ "log-level", CONFIG_TEXT, &ret->log_level, "info", 0, 0,
		  "debug, info, warn or error" },
		{ "bus-ca", CONFIG_TEXT, &ret->bus_ca, NULL, 0, 0, NULL },
		{ "bus-cert", CONFIG_TEXT, &ret->bus_cert, NULL, 0, 0, NULL },
		{ "bus-hosts", CONFIG_TEXT, &ret->bus_hosts, NULL, 0, 0, NULL },
		extra ? *extra : (struct config_item){ 0 },
		{ 0 },
	};
	/* clang-format on */
	AUTO_MEM char *file = xasprintf("%s/raeh.conf", data_from(argc, argv));
	int status = cli_options(self, items, file, argc, argv, NULL, NULL);
	char why[256];

	if (status >= 0)
		return status;
	if (config_check_file(items, file, why) != OK)
		return cli_misused(self, "%s", why);
	return -1;
}
