/*
 * filter - which insights a subscriber asked for: session_id=, device_id=, type=. Pure.
 *
 * Each parameter may be given several times: any of its values will do; of different
 * parameters all must hold. Without type= the three types of the contract pass.
 */
#ifndef EDGE_FILTER_H
#define EDGE_FILTER_H

#include "publisher.pb-c.h"

#include <stdbool.h>

#define FILTER_VALUES 64 /* of one parameter  */
#define FILTER_WHY    124
#define FILTER_TYPES  6

struct filter {
	char **session, **device;
	size_t n_sessions, n_devices;
	uint32_t types; /* a bit a type; 0 = those of the contract */
};

/* False and why names the parameter. filter_done() in any case. */
bool filter_read(struct filter *filter, const char *query, char why[FILTER_WHY]);
void filter_done(struct filter *filter);
/* The names of the types that may pass; returns how many. */
size_t filter_types(const struct filter *filter, const char *ret[FILTER_TYPES]);
/* It asks for this device alone. */
bool filter_is_only(const struct filter *filter, const char *device_id);
bool filter_passes(const struct filter *filter, const Publisher__Insight *insight);

#endif
