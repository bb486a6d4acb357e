/*
 * hrv - heart rate variability over clean beats.
 *
 *     SDNN  = sqrt( mean (I - mean I)^2 )
 *     RMSSD = sqrt( mean (I[n] - I[n-1])^2 )     over neighbouring clean intervals [ms]
 *
 * I the times between beats. An interval is clean when it is within CLEAN of the median of
 * all: a missed beat doubles it, a false one halves it. In atrial fibrillation the numbers
 * do not mean what they are read for: an RMSSD of more than a tenth of the mean interval
 * lowers the quality. Source: Task Force of the ESC and
 * NASPE, Circulation 1996.
 */
#ifndef PUBLISHER_DSP_HRV_H
#define PUBLISHER_DSP_HRV_H

#include "services/publisher/dsp/beats.h"

#define HRV_STEP_S   30
#define HRV_WINDOW_S 60 /* RMSSD over 60 s agrees with 5 min; shorter does not for SDNN */

struct hrv {
	float rmssd_ms, sdnn_ms;
	float quality; /* by the share of clean intervals and their regularity; 0: unusable */
};

struct hrv hrv_estimate(const struct beats *beats, double from_s);

#endif
