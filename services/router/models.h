/* models - the commands about device models. See core.h for router_fn. */
#ifndef ROUTER_MODELS_H
#define ROUTER_MODELS_H

#include "services/router/core.h"

#define MODELS_MAX 1000 /* in one account */

router_fn on_create_model, on_get_model, on_list_models, on_delete_model;

/* Held while a model is being deleted. */
struct gate_key models_delete_gate(const struct uuid *account, const struct uuid *model);

#endif
