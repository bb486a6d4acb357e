/*
 * process - what every service's main() begins and ends with.
 *
 *     process_start()   settings (those of the service and the common ones), log, loop, signals
 *     process_enter()   the sandbox, the bus
 *     process_done()
 *
 * SIGTERM and SIGINT stop the loop. Not dumpable: no core holds a key.
 *
 * The installation's directory (--data):
 *     raeh.conf   settings file      run/     bus sockets, slot locks (0700)
 *     secret/     bus.key, digest.key (0600)   auth/ router/ publisher-<n>/   stores
 */
#ifndef COMMON_PROCESS_H
#define COMMON_PROCESS_H

#include "common/bus.h"
#include "common/config.h"
#include "common/loop.h"

struct process {
	const char *name; /* "auth", "publisher-0" … for log and metrics */
	const char *data; /* --data */
	const char *bus_ca, *bus_cert, *bus_hosts;
	struct loop *loop;
	struct bus *bus;
};

/* service: "auth"; own: the service's settings, ended by a zero row. Writes the usage and the
 * faults itself. Returns -1 to go on, else the exit status to return from main(). */
int process_start(struct process *process, const char *service, const struct config_item *own,
                  int argc, char **argv);
/* Into the sandbox, and onto the bus. From here on the process writes in DATA/run only, and where
 * it has a store (NULL: none) in DATA/store, which is made, and DATA/secret. False: logged. */
bool process_enter(struct process *process, const char *store);
void process_done(struct process *process);

/* DATA/name as a new string. */
char *process_path(const struct process *process, const char *name);

/* DATA/name opened as a store (run_bytes: store_open()), or one log line and NULL. */
struct store *process_store(const struct process *process, const char *name, size_t run_bytes);
/* DATA/secret/name, made on first use. False: logged. */
bool process_secret(const struct process *process, const char *name, uint8_t ret[32]);

#endif
