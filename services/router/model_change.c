/* The half of model.h that changes a row. */
#include "services/router/model.h"

#include "common/mem.h"
#include "common/wire.h"

#include <stdio.h>
#include <string.h>

static void put_text(char **place, const char *text)
{
	if (!text)
		return;
	mem_free(*place);
	*place = xstrdup(text);
}

static size_t index_of(const Events__ModelRow *row, const char *ch_id)
{
	const Router__DeviceModel *model = row->model;
	char text[UUID_TEXT];
	struct uuid id;
	size_t i = 0;

	if (!uuid_parse(ch_id, &id))
		return model->n_modality_channels;
	uuid_text(&id, text);
	while (i < model->n_modality_channels && strcmp(model->modality_channels[i]->id, text) != 0)
		i++;
	return i;
}

Router__ModalityChannel *model_channel(const Events__ModelRow *row, const char *ch_id)
{
	size_t i = index_of(row, ch_id);

	return i < row->model->n_modality_channels ? row->model->modality_channels[i] : NULL;
}

Router__ModalityChannel *model_channel_numbered(const Events__ModelRow *row, uint64_t number)
{
	for (size_t i = 0; i < row->model->n_modality_channels; i++) {
		struct uuid id;

		MUST(uuid_parse(row->model->modality_channels[i]->id, &id)); /* we wrote it */
		if (uuid_number(&id) == number)
			return row->model->modality_channels[i];
	}
	return NULL;
}

static unsigned add(Events__ModelRow *row, const Router__ChannelSpec *spec, int64_t now_ms,
                    uint64_t number, char *why)
{
	const struct uuid id = uuid_numbered(now_ms, number);

	if (model_channel_numbered(row, number))
		return 0;
	if (row->model->n_modality_channels >= MODEL_CHANNELS_MAX) {
		(void)snprintf(why, MODEL_WHY,
		               "modality_channels: a device model has at most %d of them",
		               MODEL_CHANNELS_MAX);
		return 400;
	}
	if (row->next_slot >= MODEL_SLOTS) {
		(void)snprintf(why, MODEL_WHY,
		               "the %d slots of this device model are used up: make a new one",
		               MODEL_SLOTS);
		return 409;
	}
	model_append_channel(row, spec, &id);
	return 0;
}

static void put_channel(Router__ModalityChannel *channel, const Router__ChannelSpec *spec)
{
	put_text(&channel->modality, spec->modality);
	channel->sample_rate_hz = spec->sample_rate_hz;
	if (spec->has_bit_depth)
		channel->bit_depth = spec->bit_depth;
	if (spec->has_num_channels)
		channel->num_channels = spec->num_channels;
}

static unsigned no_such_channel(char *why)
{
	(void)snprintf(why, MODEL_WHY, "no such modality channel");
	return 404;
}

static unsigned put_channels(Events__ModelRow *row, const Router__UpdateModel *wanted,
                             int64_t now_ms, uint64_t first_id, char *why)
{
	for (size_t i = 0; i < wanted->n_modality_channels; i++) {
		const Router__ChannelSpec *spec = wanted->modality_channels[i];
		Router__ModalityChannel *channel = spec->id ? model_channel(row, spec->id) : NULL;
		unsigned status = 0;

		if (channel) {
			put_channel(channel, spec);
		} else if (spec->id) {
			(void)snprintf(why, MODEL_WHY,
			               "modality_channels[%zu].id: no such modality channel", i);
			status = 400;
		} else {
			status = add(row, spec, now_ms, first_id + i, why);
		}
		if (status)
			return status;
	}
	return 0;
}

static void put_calibration(Router__DeviceModel *model, const Router__UpdateModel *wanted)
{
	size_t n = wanted->n_spo2_calibration;

	if (n == 0)
		return;
	mem_free(model->spo2_calibration);
	model->spo2_calibration = xmemdup(wanted->spo2_calibration, n * sizeof(double));
	model->n_spo2_calibration = n;
}

unsigned model_update(Events__ModelRow *row, const Router__UpdateModel *wanted, int64_t now_ms,
                      uint64_t first_id, char why[MODEL_WHY])
{
	Router__CreateModel whole = ROUTER__CREATE_MODEL__INIT;
	Router__DeviceModel *model = row->model;

	whole.name = wanted->name ? wanted->name : model->name;
	whole.description = wanted->description;
	whole.firmware_version = wanted->firmware_version;
	whole.modality_channels = wanted->modality_channels;
	whole.n_modality_channels = wanted->n_modality_channels;
	whole.spo2_calibration = wanted->spo2_calibration;
	whole.n_spo2_calibration = wanted->n_spo2_calibration;
	if (!model_check(&whole, why))
		return 400;
	put_text(&model->name, wanted->name);
	put_text(&model->description, wanted->description);
	put_text(&model->firmware_version, wanted->firmware_version);
	put_calibration(model, wanted);
	return put_channels(row, wanted, now_ms, first_id, why);
}

unsigned model_add_channel(Events__ModelRow *row, const Router__AddChannel *wanted, int64_t now_ms,
                           uint64_t first_id, char why[MODEL_WHY])
{
	Router__ChannelSpec spec = ROUTER__CHANNEL_SPEC__INIT;

	spec.modality = wanted->modality;
	spec.sample_rate_hz = wanted->sample_rate_hz;
	spec.has_bit_depth = wanted->has_bit_depth;
	spec.bit_depth = wanted->bit_depth;
	spec.has_num_channels = wanted->has_num_channels;
	spec.num_channels = wanted->num_channels;
	return model_check_channel("", &spec, why) ? add(row, &spec, now_ms, first_id, why) : 400;
}

unsigned model_update_channel(Events__ModelRow *row, const Router__UpdateChannel *wanted,
                              char why[MODEL_WHY])
{
	Router__ModalityChannel *channel = model_channel(row, wanted->ch_id);
	Router__ChannelSpec spec = ROUTER__CHANNEL_SPEC__INIT;

	if (!channel)
		return no_such_channel(why);
	spec.modality = wanted->modality ? wanted->modality : channel->modality;
	spec.sample_rate_hz =
	        wanted->has_sample_rate_hz ? wanted->sample_rate_hz : channel->sample_rate_hz;
	spec.has_bit_depth = wanted->has_bit_depth;
	spec.bit_depth = wanted->bit_depth;
	spec.has_num_channels = wanted->has_num_channels;
	spec.num_channels = wanted->num_channels;
	if (!model_check_channel("", &spec, why))
		return 400;
	spec.modality = wanted->modality;
	put_channel(channel, &spec);
	return 0;
}

unsigned model_delete_channel(Events__ModelRow *row, const char *ch_id, uint32_t *ret_slot,
                              char why[MODEL_WHY])
{
	Router__DeviceModel *model = row->model;
	size_t i = index_of(row, ch_id), last = model->n_modality_channels;

	if (i == last--)
		return no_such_channel(why);
	*ret_slot = row->slot_of_channel[i];
	wire_free(&model->modality_channels[i]->base);
	for (; i < last; i++) {
		model->modality_channels[i] = model->modality_channels[i + 1];
		row->slot_of_channel[i] = row->slot_of_channel[i + 1];
	}
	model->n_modality_channels = row->n_slot_of_channel = last;
	return 0;
}
