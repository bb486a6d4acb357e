/*
 * admin - the operator's requests to auth, over the bus of an installation.
 *
 * Whoever may enter DIR/run is the operator. A request waits for its answer; where no
 * stack runs it says so instead of waiting.
 */
#ifndef CLI_ADMIN_H
#define CLI_ADMIN_H

#include "auth.pb-c.h"
#include "services/cli/cli.h"

#define ADMIN_ANSWER_MS 15000
#define ADMIN_REVOKE_MS 660000 /* a revoke may have to wait for the longest lease */

/* The rows that every command over the bus has; values are in a struct admin_place. */
struct admin_place {
	const char *data, *bus_ca, *bus_cert, *bus_hosts;
	bool json;
};
/* clang-format off */
#define ADMIN_ITEMS(place)                                                                         \
	{ "data", CONFIG_TEXT, &(place).data, "./data", 0, 0, "directory of the installation" },   \
	{ "json", CONFIG_FLAG, &(place).json, NULL, 0, 0, "as always: one JSON document" },        \
	{ "bus-ca", CONFIG_TEXT, &(place).bus_ca, NULL, 0, 0, NULL },                              \
	{ "bus-cert", CONFIG_TEXT, &(place).bus_cert, NULL, 0, 0, NULL },                          \
	{ "bus-hosts", CONFIG_TEXT, &(place).bus_hosts, NULL, 0, 0, NULL }
/* clang-format on */

/* The answer (the caller frees it with wire_free), or NULL and *ret_status; what is wrong
 * has been said. op_id is filled in here. */
Auth__AuthReply *admin_ask(const struct admin_place *place, Auth__AdminRequest *request,
                           int64_t deadline_ms, int *ret_status);
/* The same without a word: also when the answer is an error, which is the caller's to read. */
Auth__AuthReply *admin_ask_quietly(const struct admin_place *place, Auth__AdminRequest *request,
                                   int64_t deadline_ms, int *ret_status);

/* Prints a message as JSON and a line's end; wipes the text. */
void admin_print(const ProtobufCMessage *message);

#endif
