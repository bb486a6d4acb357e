/*
 * shape - what the devices of the load generator send: a made pulse in every slot.
 */
#ifndef INTEGRATION_LOAD_SHAPE_H
#define INTEGRATION_LOAD_SHAPE_H

#include "common/mem.h"

#define SHAPE_SLOTS 8
#define FRAME_MOST  4000 /* bytes */

struct shape {
	struct slot {
		int rate, channels, bytes; /* of one value                         */
		uint8_t *wave;             /* twice, so that a frame may begin anywhere */
	} slot[SHAPE_SLOTS];
	size_t n_slots;
};

struct shape_frame {
	uint8_t slot;
	int64_t t0_ms;
	int span_ms;
	int64_t phase_ms; /* where in the pulse it begins */
};

void shape_add_slot(struct shape *shape, int rate, int channels, int bits);
/* Bytes of the frame. */
size_t shape_frame(const struct shape *shape, const struct shape_frame *frame,
                   uint8_t ret[FRAME_MOST]);

#endif
