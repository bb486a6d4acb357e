#include "common/process.h"

#include "common/log.h"
#include "common/principal.h"
#include "common/sandbox.h"
#include "common/store.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define MAX_ITEMS 48

static const char *log_levels[] = { "debug", "info", "warn", "error" };

static void on_stop(void *ctx)
{
	struct process *process = ctx;

	log_info("stopping", "signal=1");
	loop_stop(process->loop);
}

static bool level_of(const char *text, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(log_levels); i++)
		if (strcmp(text, log_levels[i]) == 0) {
			*ret = (enum log_level)i;
			return true;
		}
	return false;
}

static void usage(const char *service, const struct config_item *items)
{
	(void)printf("raeh-%s: one process of a raeh installation; `raeh up` starts it.\n\n",
	             service);
	config_help(items);
}

/* The settings file lies in the data directory, which is itself a setting: look for it first. */
static const char *data_from(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--data") == 0 && i + 1 < argc)
			return argv[i + 1];
		if (strncmp(argv[i], "--data=", 7) == 0)
			return argv[i] + 7;
	}
	return getenv("RAEH_DATA") ? getenv("RAEH_DATA") : "./data";
}

static bool directory_made(const char *path)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return true;
	log_error("directory", "path=%s why=\"%s\"", path, strerror(errno));
	return false;
}

static bool directories_made(const char *data)
{
	AUTO_MEM char *run = xasprintf("%s/run", data), *secret = xasprintf("%s/secret", data);

	return directory_made(data) && directory_made(run) && directory_made(secret);
}

static void watch_signals(struct process *process)
{
	struct sigaction on_int;

	(void)signal(SIGPIPE, SIG_IGN);
	loop_on_signal(process->loop, SIGTERM, on_stop, process);
	/* Ignored when `raeh up` started us: Ctrl-C reaches us all, and it stops us in order. */
	MUST(sigaction(SIGINT, NULL, &on_int) == 0);
	if (on_int.sa_handler != SIG_IGN)
		loop_on_signal(process->loop, SIGINT, on_stop, process);
	(void)prctl(PR_SET_DUMPABLE, 0);
}

int process_start(struct process *process, const char *service, const struct config_item *own,
                  int argc, char **argv)
{
	const char *level_text;
	struct config_item items[MAX_ITEMS] = {
		{"data",       CONFIG_TEXT, &process->data,      "./data", 0, 0,
                 "directory of the installation"      },
		{ "log-level", CONFIG_TEXT, &level_text,         "info",   0, 0,
                 "debug, info, warn or error"         },
		{ "bus-ca",    CONFIG_TEXT, &process->bus_ca,    NULL,     0, 0,
                 "PEM file: the bus speaks mutual TLS"},
		{ "bus-cert",  CONFIG_TEXT, &process->bus_cert,  NULL,     0, 0,
                 "PEM file: own certificate and key"  },
		{ "bus-hosts", CONFIG_TEXT, &process->bus_hosts, NULL,     0, 0,
                 "name=host:port,… of every service"},
	};
	size_t n = 5;
	char why[256], *file;
	enum log_level level;
	enum err err;

	for (; own->name; own++) {
		MUST(n < MAX_ITEMS - 1);
		items[n++] = *own;
	}
	log_init(service, LOG_INFO);
	process->name = service;
	file = xasprintf("%s/raeh.conf", data_from(argc, argv));
	err = config_load(items, file, argc, argv, NULL, NULL, why);
	mem_free(file);
	if (err == ERR_AGAIN) {
		usage(service, items);
		return 0;
	}
	if (err != OK || !level_of(level_text, &level)) {
		log_error("settings", "why=\"%s\"", err != OK ? why : "log-level: not a level");
		return 2;
	}
	log_init(service, level);
	if (sodium_init() < 0 || !directories_made(process->data))
		return 1;
	process->loop = loop_new();
	watch_signals(process);
	return -1;
}

static bool confined(const struct process *process, const char *run, const char *store)
{
	AUTO_MEM char *secret = process_path(process, "secret");
	const char *writable[] = { run, store, secret };
	struct sandbox sandbox;
	char why[256];
	enum err err = sandbox_enter(writable, store ? 3 : 1, &sandbox, why);

	if (err != OK)
		log_error("sandbox", "err=%s why=\"%s\"", err_name(err), why);
	else
		log_debug("sandbox", "landlock=%d seccomp=%d", sandbox.landlock, sandbox.seccomp);
	return err == OK;
}

bool process_enter(struct process *process, const char *store)
{
	AUTO_MEM char *run = process_path(process, "run");
	AUTO_MEM char *path = store ? process_path(process, store) : NULL;
	const struct bus_config config = { run, process->bus_ca, process->bus_cert,
		                           process->bus_hosts };
	enum err err;

	if ((path && !directory_made(path)) || !confined(process, run, path))
		return false;
	err = bus_open(process->loop, &config, &process->bus);
	if (err != OK)
		log_error("bus", "err=%s", err_name(err));
	return err == OK;
}

void process_done(struct process *process)
{
	bus_close(process->bus);
	loop_free(process->loop);
}

char *process_path(const struct process *process, const char *name)
{
	return xasprintf("%s/%s", process->data, name);
}

struct store *process_store(const struct process *process, const char *name, size_t run_bytes)
{
	char *path = process_path(process, name);
	struct store *store = NULL;
	char why[256];
	enum err err = store_open(path, run_bytes, process->loop, why, &store);

	if (err != OK)
		log_error("store", "path=%s err=%s why=\"%s\"", path, err_name(err), why);
	mem_free(path);
	return err == OK ? store : NULL;
}

bool process_secret(const struct process *process, const char *name, uint8_t ret[32])
{
	char *path = xasprintf("%s/secret/%s", process->data, name);
	char why[256];
	enum err err = secret_load(path, ret, why);

	if (err != OK)
		log_error("secret", "err=%s why=\"%s\"", err_name(err), why);
	mem_free(path);
	return err == OK;
}
