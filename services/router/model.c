#include "services/router/model.h"

#include "common/apikey.h"
#include "common/mem.h"
#include "services/router/core.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RATE_LEAST_HZ    0.1
#define RATE_MOST_HZ     10000.0
#define DEPTH_MOST       32
#define INTERLEAVED_MOST 16
#define MODALITY_MAX     32
#define DEPTH_USUAL      16
#define QUOTED_MAX       48 /* bytes of a client's words in a fault */

static bool fault(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fault(char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(why, MODEL_WHY, format, args);
	va_end(args);
	return false;
}

/* Of valid UTF-8. */
static size_t characters(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((uint8_t)*text & 0xc0) != 0x80;
	return n;
}

static bool check_text(const char *field, const char *text, size_t least, size_t most, char *why)
{
	size_t n = text ? characters(text) : 0;

	if (n < least || n > most)
		return fault(why, "%s: expected %zu to %zu characters, got %zu", field, least, most,
		             n);
	return !text || !text_has_secret(text) ||
	       fault(why, "%s: an API key or token is never stored, not even here", field);
}

static bool is_modality(const char *text)
{
	size_t len = strlen(text);

	return len >= 1 && len <= MODALITY_MAX &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

static bool check_whole(const char *where, const char *field, bool given, uint32_t value,
                        uint32_t most, char *why)
{
	return !given || (value >= 1 && value <= most) ||
	       fault(why, "%s%s: expected 1 to %u, got %u", where, field, most, value);
}

bool model_check_channel(const char *where, const Router__ChannelSpec *channel, char why[MODEL_WHY])
{
	if (!is_modality(channel->modality))
		return fault(why,
		             "%smodality: expected 1 to 32 characters of a-z, 0-9 and _, "
		             "got \"%.*s\"",
		             where, text_cut(channel->modality, QUOTED_MAX), channel->modality);
	if (!(channel->sample_rate_hz >= RATE_LEAST_HZ && channel->sample_rate_hz <= RATE_MOST_HZ))
		return fault(why, "%ssample_rate_hz: expected %g to %g, got %.10g", where,
		             RATE_LEAST_HZ, RATE_MOST_HZ, channel->sample_rate_hz);
	return check_whole(where, "bit_depth", channel->has_bit_depth, channel->bit_depth,
	                   DEPTH_MOST, why) &&
	       check_whole(where, "num_channels", channel->has_num_channels, channel->num_channels,
	                   INTERLEAVED_MOST, why);
}

static bool check_calibration(const Router__CreateModel *wanted, char *why)
{
	if (wanted->n_spo2_calibration != 0 && wanted->n_spo2_calibration != 3)
		return fault(why, "spo2_calibration: expected 3 numbers, got %zu",
		             wanted->n_spo2_calibration);
	for (size_t i = 0; i < wanted->n_spo2_calibration; i++)
		if (!isfinite(wanted->spo2_calibration[i]))
			return fault(why, "spo2_calibration[%zu]: expected a finite number", i);
	return true;
}

bool model_check(const Router__CreateModel *wanted, char why[MODEL_WHY])
{
	if (!check_text("name", wanted->name, 1, MODEL_NAME_MAX, why) ||
	    !check_text("description", wanted->description, 0, MODEL_DESCRIPTION_MAX, why) ||
	    !check_text("firmware_version", wanted->firmware_version, 0, MODEL_FIRMWARE_MAX, why))
		return false;
	if (wanted->n_modality_channels > MODEL_CHANNELS_MAX)
		return fault(why, "modality_channels: expected at most %d, got %zu",
		             MODEL_CHANNELS_MAX, wanted->n_modality_channels);
	for (size_t i = 0; i < wanted->n_modality_channels; i++) {
		char where[32];

		(void)snprintf(where, sizeof where, "modality_channels[%zu].", i);
		if (!model_check_channel(where, wanted->modality_channels[i], why))
			return false;
	}
	return check_calibration(wanted, why);
}

static char *text_of_id(const struct uuid *id)
{
	char text[UUID_TEXT];

	uuid_text(id, text);
	return xstrdup(text);
}

static Router__ModalityChannel *channel_new(const Router__ChannelSpec *spec, const struct uuid *id)
{
	Router__ModalityChannel *channel = xcalloc(1, sizeof *channel);

	router__modality_channel__init(channel);
	channel->id = text_of_id(id);
	channel->modality = xstrdup(spec->modality);
	channel->sample_rate_hz = spec->sample_rate_hz;
	channel->bit_depth = spec->has_bit_depth ? spec->bit_depth : DEPTH_USUAL;
	if (spec->has_num_channels)
		channel->num_channels = spec->num_channels;
	else
		channel->num_channels = strcmp(spec->modality, "acc_3axis") == 0 ? 3 : 1;
	return channel;
}

void model_append_channel(Events__ModelRow *row, const Router__ChannelSpec *spec,
                          const struct uuid *id)
{
	Router__DeviceModel *model = row->model;
	size_t n = model->n_modality_channels;

	MUST(n == row->n_slot_of_channel && row->next_slot < MODEL_SLOTS);
	model->modality_channels =
	        xrealloc(model->modality_channels, n + 1, sizeof *model->modality_channels);
	row->slot_of_channel = xrealloc(row->slot_of_channel, n + 1, sizeof *row->slot_of_channel);
	model->modality_channels[n] = channel_new(spec, id);
	row->slot_of_channel[n] = row->next_slot++;
	row->n_slot_of_channel = model->n_modality_channels = n + 1;
}

Events__ModelRow *model_new(const Router__CreateModel *wanted, const struct uuid *id,
                            int64_t now_ms)
{
	Router__DeviceModel *model = xcalloc(1, sizeof *model);
	Events__ModelRow *row = xcalloc(1, sizeof *row);

	router__device_model__init(model);
	events__model_row__init(row);
	row->model = model;
	model->id = text_of_id(id);
	model->name = xstrdup(wanted->name);
	model->description = xstrdup(wanted->description ? wanted->description : "");
	model->firmware_version = xstrdup(wanted->firmware_version ? wanted->firmware_version : "");
	model->created_at = model->updated_at = now_ms;
	for (size_t i = 0; i < wanted->n_modality_channels; i++) {
		struct uuid channel = uuid_new(now_ms);

		model_append_channel(row, wanted->modality_channels[i], &channel);
	}
	model->n_spo2_calibration = wanted->n_spo2_calibration;
	model->spo2_calibration =
	        xmemdup(wanted->spo2_calibration, wanted->n_spo2_calibration * sizeof(double));
	return row;
}
