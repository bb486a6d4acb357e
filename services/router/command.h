/*
 * command - commands that change something, one uncommitted at a time for each aggregate.
 *
 *     command_start ─► [gate of the aggregate] ─► run() ─┬─► command_append ─► commit ─► done()
 *                       others wait in order             └─► command_finish (refused, a repeat)
 *
 * run() reads the view and either answers and finishes at once or appends exactly one event.
 * After the commit done() is called with OK, or with the failure; then the next in the gate
 * runs. An append that met a conflict runs again, from validation on.
 *
 * At most COMMANDS_MAX are under way, COMMANDS_MAX_BEHIND of them behind one aggregate.
 */
#ifndef ROUTER_COMMAND_H
#define ROUTER_COMMAND_H

#include "common/bus.h"
#include "common/uuid.h"
#include "events.pb-c.h"
#include "router.pb-c.h"

#define COMMANDS_MAX        16384
#define COMMANDS_MAX_BEHIND 64
#define COMMANDS_MAX_TRIES  100 /* a command that meets more conflicts is answered 503 */

struct router;
struct command;
struct commands;

/* The aggregate: whatever names it, kept as a digest. */
struct gate_key {
	uint8_t digest[16];
};
struct gate_key gate_key_of(char kind, const struct uuid *account, const struct uuid *id,
                            const char *name);

struct command_ops {
	void (*run)(struct router *router, struct command *command);
	/* After the append: answers and tells others. */
	void (*done)(struct router *router, struct command *command, enum err err);
};

struct command {
	const struct command_ops *ops;
	struct bus_call *call;          /* NULL: nobody waits */
	Router__RouterRequest *request; /* owned; NULL: one of our own */
	struct uuid account, by;        /* by: the key */
	struct uuid id;                 /* the session or model that it is about */
	struct uuid model;              /* opening a session: its model */
	uint64_t first_id;              /* changing a model: of the channels that it adds */
	uint32_t close_code;            /* closing a session */
	int64_t ended_at;               /* … wall ms */
	uint64_t epoch;                 /* … of this epoch at most */
	bool was_open;                  /* a close: it ends an open session */
	char close_reason[128];
	void *ctx;                  /* of who made a command of our own */
	Events__RouterEvent *event; /* what was appended, for done() */
	/* private */
	struct router *router;
	struct gate_key gate;
	struct command *next; /* in its gate: the first one runs */
	unsigned tries;
};

struct commands *commands_new(void);
/* Frees every command; nobody is answered. */
void commands_free(struct commands *commands);
size_t commands_count(const struct commands *commands);

/* A zeroed command; it owns call and request. */
struct command *command_new(const struct command_ops *ops, struct bus_call *call,
                            Router__RouterRequest *request);

/* Takes the command. Answers 503 itself when a bound is reached. */
void command_start(struct router *router, struct command *command, struct gate_key gate);
/* An event of now, by whoever asks; borrows from the command. */
Events__RouterEvent command_event(const struct command *command);
/* From run(). Borrows the event. */
void command_append(struct command *command, const Events__RouterEvent *event);
/* From run() instead, after the answer. Frees the command. */
void command_finish(struct command *command);

/* True while a command holds the gate. */
bool commands_busy(struct commands *commands, struct gate_key gate);
/* True when fn says so of a command that holds or waits for a gate. */
bool commands_any(const struct commands *commands,
                  bool (*fn)(const struct command *command, const void *ctx), const void *ctx);

#endif
