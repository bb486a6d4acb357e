/*
 * progress - how far something has come: a bar on a terminal, now and then a line elsewhere.
 *
 *     [==========>                   ]  34 %  2:43 of 8:00  9.8 frames/s  4.1 kB/s  left 5:17
 *
 * Pure: the caller prints.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "common/mem.h"

struct progress {
	double done_s, total_s; /* of the signal; total 0: it has no end */
	double elapsed_s;       /* on the wall */
	uint64_t frames, bytes;
};

/* width: columns of the bar alone; 0: none. */
void progress_text(const struct progress *progress, unsigned width, char ret[160]);

/* "8:00", "1:02:03" */
void progress_time(double seconds, char ret[16]);

#endif
