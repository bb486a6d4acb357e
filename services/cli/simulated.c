#include "services/cli/simulated.h"

#include "common/json.h"
#include "common/wire.h"
#include "router.pb-c.h"
#include "services/cli/http_client.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MS 15000
#define TRIES     8 /* of a request that a service behind cannot take now */
#define TRY_MS    500
#define LIST_MOST "/v1/device-models?limit=200"
#define CREATE    "/v1/device-models"

static void append(struct buf *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void append(struct buf *text, const char *format, ...)
{
	char part[128];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(part, sizeof part, format, args); /* names and numbers: it fits */
	va_end(args);
	buf_append(text, part, strlen(part));
}

/* "ppg_green 100 Hz/16x2; acc_3axis 50 Hz/16x3" */
static void append_layout(struct buf *text, const struct recording *recording)
{
	for (size_t i = 0; i < recording->n_slots; i++) {
		const struct recording_slot *slot = &recording->slot[i];

		append(text, "%s%s %.10g Hz/%u", i > 0 ? "; " : "", slot->modality,
		       slot->sample_rate_hz, slot->bit_depth);
		if (slot->num_channels > 1)
			append(text, "x%u", slot->num_channels);
	}
	if (recording->has_spo2_calibration)
		append(text, "; spo2 %.10g,%.10g,%.10g", recording->spo2_calibration[0],
		       recording->spo2_calibration[1], recording->spo2_calibration[2]);
}

void simulated_name(const struct recording *recording, char ret[SIMULATED_NAME])
{
	struct buf layout = { 0 };
	uint8_t digest[crypto_generichash_BYTES_MIN];
	char hex[2 * sizeof digest + 1];
	int n;

	append_layout(&layout, recording);
	n = snprintf(ret, SIMULATED_NAME, "simulated (%.*s)", (int)layout.len, (char *)layout.data);
	if (n >= SIMULATED_NAME) {
		(void)crypto_generichash(digest, sizeof digest, layout.data, layout.len, NULL, 0);
		(void)sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
		(void)snprintf(ret, SIMULATED_NAME, "simulated (%zu slots, %s)", recording->n_slots,
		               hex);
	}
	buf_free(&layout);
}

/* ---- requests ---- */

struct calling {
	struct web *web;
	const struct client_options *options;
	struct http_answer answer;
	struct buf body;
	struct timer timer;
};

static void on_waited(void *self)
{
	web_stop(self);
}

/* Tries again what the server says to be able to take later. */
static void call(struct calling *calling, const char *method, const char *path, const char *body)
{
	const struct http_request request = { .url = &calling->options->url,
		                              .method = method,
		                              .path = path,
		                              .key = calling->options->key,
		                              .body = body,
		                              .timeout_ms = ANSWER_MS };

	for (int i = 1;; i++) {
		http_call_wait(calling->web, &request, &calling->answer, &calling->body);
		if ((calling->answer.status != 503 && calling->answer.status != 429) || i == TRIES)
			return;
		timer_set(web_loop(calling->web), &calling->timer, i * TRY_MS, on_waited,
		          calling->web);
		web_run(calling->web);
	}
}

/* 1: found; 0: there is none; -1: refused. */
static int find(struct calling *calling, const char *name, char ret[UUID_TEXT], char why[256])
{
	Router__ModelList *models;
	AUTO_MEM char *whole = NULL;
	int found = 0;

	call(calling, "GET", LIST_MOST, NULL);
	if (calling->answer.status != 200) {
		http_explain(&calling->answer, why);
		return -1;
	}
	whole = xasprintf("{\"items\":%s}", (const char *)calling->answer.body.data);
	models = (Router__ModelList *)json_new(&router__model_list__descriptor);
	if (json_to_message(BYTES(whole, strlen(whole)), &models->base, why) != OK)
		found = -1;
	for (size_t i = 0; found == 0 && i < models->n_items; i++) {
		if (strcmp(models->items[i]->name, name) != 0)
			continue;
		(void)snprintf(ret, UUID_TEXT, "%s", models->items[i]->id);
		found = 1;
	}
	wire_free(&models->base);
	return found;
}

static char *create_body(const struct recording *recording, const char *name)
{
	Router__CreateModel model = ROUTER__CREATE_MODEL__INIT;
	Router__ChannelSpec spec[RECORDING_MAX_SLOTS], *channel[RECORDING_MAX_SLOTS];

	for (size_t i = 0; i < recording->n_slots; i++) {
		const struct recording_slot *slot = &recording->slot[i];

		router__channel_spec__init(&spec[i]);
		spec[i].modality = (char *)slot->modality;
		spec[i].sample_rate_hz = slot->sample_rate_hz;
		spec[i].has_bit_depth = spec[i].has_num_channels = true;
		spec[i].bit_depth = slot->bit_depth;
		spec[i].num_channels = slot->num_channels;
		channel[i] = &spec[i];
	}
	model.name = (char *)name;
	model.description = (char *)"made by raeh replay";
	model.n_modality_channels = recording->n_slots;
	model.modality_channels = channel;
	if (recording->has_spo2_calibration) {
		model.n_spo2_calibration = ARRAY_LEN(recording->spo2_calibration);
		model.spo2_calibration = (double *)recording->spo2_calibration;
	}
	return json_of_message(&model.base);
}

/* 1: made; 0: there is one of that name by now; -1: refused. */
static int create(struct calling *calling, const struct recording *recording, const char *name,
                  char ret[UUID_TEXT], char why[256])
{
	AUTO_MEM char *body = create_body(recording, name);
	Router__DeviceModel *model;
	int made = -1;

	call(calling, "POST", CREATE, body);
	if (calling->answer.status == 409)
		return 0;
	if (calling->answer.status != 201) {
		http_explain(&calling->answer, why);
		return -1;
	}
	model = (Router__DeviceModel *)json_new(&router__device_model__descriptor);
	if (json_to_message(calling->answer.body, &model->base, why) == OK) {
		(void)snprintf(ret, UUID_TEXT, "%s", model->id);
		made = 1;
	}
	wire_free(&model->base);
	return made;
}

bool simulated_register(struct web *web, const struct client_options *options,
                        const struct recording *recording, char ret[UUID_TEXT], char why[256])
{
	struct calling calling = { .web = web, .options = options };
	char name[SIMULATED_NAME];
	int found;

	simulated_name(recording, name);
	found = find(&calling, name, ret, why);
	if (found == 0)
		found = create(&calling, recording, name, ret, why);
	if (found == 0)
		found = find(&calling, name, ret, why);
	if (found == 0)
		(void)snprintf(why, 256,
		               "a model \"%.120s\" exists, but not among the newest 200: "
		               "give its id with --model-id",
		               name);
	buf_free(&calling.body);
	return found == 1;
}

bool simulated_fits(const struct recording *recording, const Cli__Handshake *handshake,
                    char why[256])
{
	if (handshake->n_slots != recording->n_slots) {
		(void)snprintf(why, 256, "the device model has %zu slots, the recording %zu",
		               handshake->n_slots, recording->n_slots);
		return false;
	}
	for (size_t i = 0; i < recording->n_slots; i++) {
		const struct recording_slot *mine = &recording->slot[i];
		const Raeh__Slot *slot = handshake->slots[i];

		if (strcmp(slot->modality, mine->modality) == 0 && slot->slot_id < 256 &&
		    slot->bit_depth == mine->bit_depth && slot->num_channels == mine->num_channels)
			continue;
		(void)snprintf(
		        why, 256,
		        "slot %zu of the device model is %.32s %u bit x %u, of the recording "
		        "%.32s %u bit x %u",
		        i, slot->modality, slot->bit_depth, slot->num_channels, mine->modality,
		        mine->bit_depth, mine->num_channels);
		return false;
	}
	return true;
}
