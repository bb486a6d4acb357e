/*
 * fleet - one schedule: an installation, its devices and apps, an operator who mints and
 * revokes, faults at random times, and the promises that must hold throughout.
 *
 *     auth · router · publisher × 2 · edge × 2    (the real actors)
 *     4 devices, 2 apps on one account, 1 device and 1 app on another
 *
 * Promises asserted
 *   P1  no frame given to an edge after the answer to the revoke of its key is stored, nor after
 *       the answer that disabled it or took the scope away, until that is given back;
 *   P2  no byte is handed to the kernel for a socket after that answer;
 *   P3  every frame taken is stored once and in order, unless its edge died before it was
 *       acknowledged; every frame acknowledged is stored, whatever dies;
 *   P4  a device's insights come from one session at a time, never an older one again;
 *   P5  no (session, type, t) is emitted twice; each number is one insight for ever;
 *   P6  an app hears every insight of its account, once, in order, and none of another's;
 *   P7  when the faults end every session is closed everywhere, every revoke and change is
 *       answered;
 *   P8  a socket whose right has ended is closed;
 *   P9  a session that is resumed goes on behind its last durable frame: what its device was told
 *       is durable is stored, each frame once, and none of an epoch that is over.
 * A token has what it was given and its key has: P1, P2 and P8 hold for it from the answer that
 * takes it away from its key, and from its own end.
 */
#ifndef SIM_FLEET_H
#define SIM_FLEET_H

#include <stdbool.h>
#include <stdint.h>

struct fleet_result {
	bool broken;
	char what[512]; /* the promise, and how */
	uint64_t frames_taken, frames_stored, insights, revokes, changes, tokens, sessions, crashes,
	        resumed, heard;
};

/* Plays the schedule of this seed. verbose: one line an action, to standard error. */
struct fleet_result fleet_play(uint64_t seed, bool verbose);

#endif
