/*
 * recent - fingerprints of the last stored frames of a session.
 *
 * Made when a frame comes late, from the frame rows, and kept up to date from then on.
 * A fingerprint that is found is only a candidate: the caller compares the bytes, so
 * the rule is exact and no client gains by making fingerprints collide.
 */
#ifndef PUBLISHER_SESSION_RECENT_H
#define PUBLISHER_SESSION_RECENT_H

#include "common/mem.h"

#define SESSION_RECENT 4096 /* frames */

struct recent;

struct recent *recent_new(void);
void recent_free(struct recent *recent);

/* Keyed at random. */
uint32_t recent_fingerprint(const struct recent *recent, struct bytes frame);
/* Forgets the oldest when it is full. */
void recent_add(struct recent *recent, uint32_t fingerprint, uint64_t number);
/* Gives the numbers that have this fingerprint, one a call: *place starts at 0. below: a number
 * above all of them. */
bool recent_find(const struct recent *recent, uint32_t fingerprint, uint64_t below, size_t *place,
                 uint64_t *ret_number);

#endif
