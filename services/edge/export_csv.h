/*
 * export_csv - the samples of one frame as lines of text. Pure.
 *
 *     all slots   t_ms,slot_id,modality,channel,value     a line a value
 *     one slot    t_ms,ppg_green                          a line a sample
 *                 t_ms,acc_3axis_0,acc_3axis_1,…
 *
 * t_ms is session time in ms since the epoch, with up to three decimals where the sample rate
 * needs them. Lines end with \n.
 */
#ifndef EDGE_EXPORT_CSV_H
#define EDGE_EXPORT_CSV_H

#include "common/frame.h"

/* slot: NULL for all slots. */
void export_csv_header(const Raeh__Slot *slot, struct buf *ret);

/* The sample's time in microseconds. */
int64_t export_sample_us(const struct frame *frame, const Raeh__Slot *slot, uint32_t index);
/* One value of a payload that fits its slot. */
int32_t export_sample(const struct frame *frame, const Raeh__Slot *slot, uint32_t index,
                      uint32_t channel);

/* Sample `index` of the frame. */
void export_csv_line(const struct frame *frame, const Raeh__Slot *slot, uint32_t index, bool wide,
                     struct buf *ret);

#endif
