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
#define MODEL_WHY             256

/* False: why names the field, what was expected and what came. */
bool model_check(const Router__CreateModel *wanted, char why[MODEL_WHY]);

/* The row of a new model, all its own: wire_free(). wanted has passed model_check(). */
Events__ModelRow *model_new(const Router__CreateModel *wanted, const struct uuid *id,
                            int64_t now_ms);

#endif
