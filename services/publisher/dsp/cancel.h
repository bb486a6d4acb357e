/*
 * cancel - takes out of the light what moves with the arm.
 *
 * The wave y is regressed on the axes of acceleration at a few lags:
 *
 *     e = y - s X b,   b = (X'X + r tr(X'X)/p I)^-1 X'y
 *
 * X holds p = 3 x CANCEL_LAGS columns: each axis at lags -4, -2, 0, 2, 4 samples of
 * 1/32 s, which is any mix of push, speed and lag up to an eighth of a second either
 * way. r keeps axes that hardly move from being blown up. s is 0 where the arm is so
 * still (below CANCEL_STILL of gravity) that the pulse itself is what shakes it.
 *
 * A ridge regression; block form of the adaptive cancellers of Kim & Yoo, IEEE TBME
 * 2006, without their step size.
 */
#ifndef PUBLISHER_DSP_CANCEL_H
#define PUBLISHER_DSP_CANCEL_H

#include <stddef.h>

#define CANCEL_AXES  3
#define CANCEL_LAGS  5
#define CANCEL_P     (CANCEL_AXES * CANCEL_LAGS)
#define CANCEL_MAX   384 /* samples a window */
#define CANCEL_STILL 0.01f
#define CANCEL_MOVED 0.03f /* of gravity: from here on s is 1 */

/* X'X + ridge of a window, factored (Cholesky); good for several waves. */
struct cancel {
	const float *axis[CANCEL_AXES];
	size_t count;
	float strength; /* s; 0: nothing to take out */
	float factor[CANCEL_P][CANCEL_P];
};

/* sway: motion.h. Borrows the axes. */
struct cancel cancel_new(const float *const *axis, size_t count, float sway);

/* e for one wave of the window's length. */
void cancel_wave(const struct cancel *cancel, const float *y, float *ret);

#endif
