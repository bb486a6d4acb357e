#include "services/router/command.h"

#include "common/clock.h"
#include "common/log.h"
#include "services/router/core.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUCKETS 4096 /* a power of two */

/* A gate is the list of its commands; it exists while there is one. */
struct gate {
	struct gate *next; /* in its bucket */
	struct command *first, *last;
	unsigned length;
};
struct commands {
	struct gate *bucket[BUCKETS];
	size_t count;
};

struct gate_key gate_key_of(char kind, const struct uuid *account, const struct uuid *id,
                            const char *name)
{
	crypto_generichash_state state;
	struct gate_key key;

	(void)crypto_generichash_init(&state, NULL, 0, sizeof key.digest);
	(void)crypto_generichash_update(&state, (const uint8_t *)&kind, 1);
	(void)crypto_generichash_update(&state, account->byte, sizeof account->byte);
	(void)crypto_generichash_update(&state, id->byte, sizeof id->byte);
	(void)crypto_generichash_update(&state, (const uint8_t *)name, strlen(name));
	(void)crypto_generichash_final(&state, key.digest, sizeof key.digest);
	return key;
}

/* The place that points at the gate, or at the end of its bucket. */
static struct gate **find_gate(struct commands *commands, const struct gate_key *key)
{
	size_t n = (key->digest[0] | (size_t)key->digest[1] << 8) & (BUCKETS - 1);
	struct gate **place = &commands->bucket[n];

	while (*place && memcmp(&(*place)->first->gate, key, sizeof *key) != 0)
		place = &(*place)->next;
	return place;
}

struct commands *commands_new(void)
{
	return xcalloc(1, sizeof(struct commands));
}

static void free_event(struct command *command)
{
	if (command->event)
		wire_free(&command->event->base);
	command->event = NULL;
}

static void free_command(struct command *command)
{
	if (command->request)
		wire_free(&command->request->base);
	free_event(command);
	mem_free(command);
}

static void free_gate(struct gate *gate)
{
	for (struct command *c = gate->first, *next; c; c = next) {
		next = c->next;
		free_command(c);
	}
	mem_free(gate);
}

void commands_free(struct commands *commands)
{
	if (!commands)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct gate *gate = commands->bucket[i], *next; gate; gate = next) {
			next = gate->next;
			free_gate(gate);
		}
	mem_free(commands);
}

size_t commands_count(const struct commands *commands)
{
	return commands->count;
}

bool commands_busy(struct commands *commands, struct gate_key gate)
{
	return *find_gate(commands, &gate) != NULL;
}

bool commands_any(const struct commands *commands,
                  bool (*fn)(const struct command *command, const void *ctx), const void *ctx)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct gate *gate = commands->bucket[i]; gate; gate = gate->next)
			for (const struct command *c = gate->first; c; c = c->next)
				if (fn(c, ctx))
					return true;
	return false;
}

struct command *command_new(const struct command_ops *ops, struct bus_call *call,
                            Router__RouterRequest *request)
{
	struct command *command = xcalloc(1, sizeof *command);

	command->ops = ops;
	command->call = call;
	command->request = request;
	return command;
}

void command_start(struct router *router, struct command *command, struct gate_key key)
{
	struct commands *commands = router->commands;
	struct gate **place = find_gate(commands, &key);
	struct gate *gate = *place;

	if (commands->count == COMMANDS_MAX || (gate && gate->length > COMMANDS_MAX_BEHIND)) {
		if (command->call)
			answer_failure(router, command->call, ERR_UNAVAILABLE);
		free_command(command);
		return;
	}
	command->router = router;
	command->gate = key;
	commands->count++;
	if (gate) {
		gate->length++;
		gate->last->next = command;
		gate->last = command;
		return;
	}
	gate = *place = xcalloc(1, sizeof *gate);
	*gate = (struct gate){ NULL, command, command, 1 };
	command->ops->run(router, command);
}

/* Recursion by run() ends with the gate's length. */
void command_finish(struct command *command)
{
	struct router *router = command->router;
	struct gate **place = find_gate(router->commands, &command->gate);
	struct gate *gate = *place;
	struct command *next = command->next;

	MUST(gate && gate->first == command);
	router->commands->count--;
	gate->length--;
	gate->first = next;
	if (!next) {
		*place = gate->next;
		mem_free(gate);
	}
	free_command(command);
	if (next)
		next->ops->run(router, next);
}

static void on_committed(void *ctx, enum err err)
{
	struct command *command = ctx;
	struct router *router = command->router;

	if (err == ERR_IO) { /* only a restart makes view and journal agree again */
		log_error("journal-broke", "why=\"%s\"", store_why(router->deps.store));
		_exit(EXIT_FAILURE);
	}
	if (err == ERR_CONFLICT && command->tries++ < COMMANDS_MAX_TRIES) {
		router->metrics.conflicts_total++;
		free_event(command);
		command->ops->run(router, command);
		return;
	}
	command->ops->done(router, command, err);
	command_finish(command);
}

Events__RouterEvent command_event(const struct command *command)
{
	Events__RouterEvent event = EVENTS__ROUTER_EVENT__INIT;

	event.at_ms = clock_wall_ms();
	event.account = wire_bytes_of(&command->account);
	event.has_by = !uuid_is_nil(&command->by); /* nil: our own doing */
	if (event.has_by)
		event.by = wire_bytes_of(&command->by);
	event.origin = command->request ? command->request->origin : NULL;
	return event;
}

void command_append(struct command *command, const Events__RouterEvent *event)
{
	struct buf buf = { 0 };
	struct bytes packed = wire_pack(&buf, &event->base);

	MUST(command->event == NULL);
	command->event =
	        (Events__RouterEvent *)wire_unpack(&events__router_event__descriptor, packed);
	MUST(command->event != NULL);
	journal_append(command->router->journal, &packed, 1, on_committed, command);
	buf_free(&buf);
}
