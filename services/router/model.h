/*
 * model - what a device model may be: the rules of the contract's vocabulary. Pure.
 *
 *     channel i of a new model -> slot i; a removed channel's slot is not reused
 */
#ifndef ROUTER_MODEL_H
#define ROUTER_MODEL_H

#include "common/uuid.h"
#include "events.pb-c.h"
#include "router.pb-c.h"

#include <stdbool.h>

#define MODEL_NAME_MAX        128 /* characters, not bytes */
#define MODEL_DESCRIPTION_MAX 1024
#define MODEL_FIRMWARE_MAX    128
#define MODEL_CHANNELS_MAX    64
#define MODEL_SLOTS           256 /* a frame's slot_id is one byte */
#define MODEL_WHY             256

/* False: why names the field, what was expected and what came. */
bool model_check(const Router__CreateModel *wanted, char why[MODEL_WHY]);

/* where: what stands before the field's name, "modality_channels[2]." or "". */
bool model_check_channel(const char *where, const Router__ChannelSpec *channel,
                         char why[MODEL_WHY]);

/* The row of a new model, all its own: wire_free(). wanted has passed model_check(). */
Events__ModelRow *model_new(const Router__CreateModel *wanted, const struct uuid *id,
                            int64_t now_ms);

/* Onto the next slot, of which there must be one. The spec is checked. */
void model_append_channel(Events__ModelRow *row, const Router__ChannelSpec *spec,
                          const struct uuid *id);

/*
 * Changes of a row in place, checked. They answer 0, or the status of what is wrong with why;
 * the row is then half changed and thrown away. The channels that a change adds get the ids
 * (now_ms, first_id + 0, 1, …): a repeat of the command finds them and adds nothing.
 */
unsigned model_update(Events__ModelRow *row, const Router__UpdateModel *wanted, int64_t now_ms,
                      uint64_t first_id, char why[MODEL_WHY]);
unsigned model_add_channel(Events__ModelRow *row, const Router__AddChannel *wanted, int64_t now_ms,
                           uint64_t first_id, char why[MODEL_WHY]);
unsigned model_update_channel(Events__ModelRow *row, const Router__UpdateChannel *wanted,
                              char why[MODEL_WHY]);
/* Its slot ends. */
unsigned model_delete_channel(Events__ModelRow *row, const char *ch_id, uint32_t *ret_slot,
                              char why[MODEL_WHY]);
/* The channel with this id, in any case of letters; with this number. NULL: none. */
Router__ModalityChannel *model_channel(const Events__ModelRow *row, const char *ch_id);
Router__ModalityChannel *model_channel_numbered(const Events__ModelRow *row, uint64_t number);

#endif
