/*
 * world - virtual time, nodes and a network that cannot be trusted.
 *
 * One thread, one clock that jumps from event to event, one seed: a schedule is played
 * again exactly by its seed. A node is one process of the installation: a virtual loop,
 * a clock of its own (rate within CLOCK_DRIFT of the world's), a store that survives it.
 *
 * Nodes crash (kill: what was written stays; power: what was synced stays), are paused
 * (SIGSTOP), cut off from others, and started again. Messages of the bus are lost,
 * repeated, delayed and reordered.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "common/bus.h"
#include "common/loop.h"
#include "common/store.h"

#define WORLD_NODES 12
#define CLOCK_DRIFT 0.01 /* a node's second lasts 0.99 to 1.01 s */

struct world;
struct node;

typedef void world_fn(void *ctx);

struct node_ops {
	/* Makes the actor on node_loop, node_bus, node_store. */
	void (*start)(struct node *node, void *ctx);
	/* Frees it without a word to anybody. */
	void (*stop)(struct node *node, void *ctx);
	/* After every turn of the node's loop; may be NULL. */
	void (*turn_end)(struct node *node, void *ctx);
};

enum node_state { NODE_UP, NODE_PAUSED, NODE_DOWN };

/* Chances of 1000, and times. */
struct network {
	unsigned lost, repeated, late;
	int64_t least_us, most_us; /* usual delay */
	int64_t late_most_us;      /* of a late message */
};

struct world *world_new(uint64_t seed, const struct network *network);
void world_set_network(struct world *world, const struct network *network);
void world_free(struct world *world);
int64_t world_now_us(const struct world *world);
/* When every node's wall clock has shown this. */
int64_t world_slowest_us(int64_t wall_ms);
/* 0 <= n < below */
uint64_t world_random(struct world *world, uint64_t below);
bool world_chance(struct world *world, unsigned of_1000);

/* In the world's own time; not for a node. Never cancelled: fn looks whether it still counts. */
void world_at(struct world *world, int64_t delay_us, world_fn *fn, void *ctx);
/* Runs until the time or until nothing is left to happen. */
void world_run(struct world *world, int64_t until_us);

struct node *node_add(struct world *world, const char *name, const struct node_ops *ops, void *ctx,
                      int64_t sync_delay_ms);
void node_start(struct node *node);
void node_kill(struct node *node);  /* kill -9 */
void node_power(struct node *node); /* the plug */
void node_pause(struct node *node, bool paused);
/* No message passes between the two for so long. */
void node_cut(struct node *a, struct node *b, int64_t for_us);

const char *node_name(const struct node *node);
enum node_state node_state(const struct node *node);
unsigned node_life(const struct node *node); /* counts starts: a life ends with a crash */
struct loop *node_loop(struct node *node);
struct bus *node_bus(struct node *node);
struct store *node_store(struct node *node);
struct world *node_world(struct node *node);

/* Calls fn as the node, on its clock, then a turn of its loop. Nothing when it is not up. */
void node_call(struct node *node, world_fn *fn, void *ctx);

/* A broadcast or a reply as it leaves: the checks read them. */
struct world_taps {
	void (*published)(void *ctx, struct node *node, const char *name, struct bytes event);
	void (*replied)(void *ctx, struct node *node, const char *name, struct bytes request,
	                struct bytes reply);
	void *ctx;
};
void world_set_taps(struct world *world, const struct world_taps *taps);

#endif
