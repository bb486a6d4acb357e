/* models - the commands about device models. See core.h for router_fn. */
#ifndef ROUTER_MODELS_H
#define ROUTER_MODELS_H

#include "services/router/core.h"

#define MODELS_MAX 1000 /* in one account */

router_fn on_create_model, on_get_model, on_list_models, on_delete_model;
router_fn on_update_model, on_list_channels, on_add_channel, on_update_channel, on_delete_channel;

/* One uncommitted change of the models of an account at a time: a name is unique in it. */
struct gate_key models_gate(const struct uuid *account);
/* True while the deletion of this model is not committed. */
bool models_deleting(struct router *router, const struct uuid *account, const struct uuid *model);

/* ---- for models.c and changes.c ---- */

/* Answers an error of the view. */
void models_refuse(struct router *router, struct bus_call *call, enum err err);
/* False: answered. A key of one device has no business with what all devices share. */
bool models_may_write(struct router *router, const struct asker *asker, struct bus_call *call);
/* 62 bits that a repeat of the command has too; false: it has no op_id. */
bool models_op_number(const struct command *command, uint64_t *ret);
struct command *models_command(const struct command_ops *ops, const struct asker *asker,
                               struct bus_call *call, Router__RouterRequest *request);

#endif
