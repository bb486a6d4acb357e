#include "services/edge/filter.h"

#include "common/mem.h"
#include "common/uuid.h"
#include "services/edge/query.h"

#include <stdio.h>
#include <string.h>

#define VALUE_MAX 129 /* a device id and its zero */

static const char *const types[FILTER_TYPES] = { "hr",        "rr",       "spo2",
	                                         "hrv_rmssd", "hrv_sdnn", "motion" };
#define CORE_TYPES 0x7u /* the first three */

static uint32_t type_bit(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(name, types[i]) == 0)
			return 1u << i;
	return 0;
}

/* ---- one value ---- */

static bool add_session(struct filter *filter, const char *value)
{
	char text[UUID_TEXT];
	struct uuid id;

	if (!uuid_parse(value, &id))
		return false;
	uuid_text(&id, text);
	filter->session =
	        xrealloc(filter->session, filter->n_sessions + 1, sizeof *filter->session);
	filter->session[filter->n_sessions++] = xstrdup(text);
	return true;
}

static bool add_device(struct filter *filter, const char *value)
{
	filter->device = xrealloc(filter->device, filter->n_devices + 1, sizeof *filter->device);
	filter->device[filter->n_devices++] = xstrdup(value);
	return value[0] != '\0';
}

static bool add_type(struct filter *filter, const char *value)
{
	uint32_t bit = type_bit(value);

	filter->types |= bit;
	return bit != 0;
}

static const struct parameter {
	const char *name, *expected;
	bool (*add)(struct filter *filter, const char *value);
} parameters[] = {
	{"session_id", "the UUID of a session",                       add_session},
	{ "device_id", "1 to 128 bytes of UTF-8",                     add_device },
	{ "type",      "hr, rr, spo2, hrv_rmssd, hrv_sdnn or motion", add_type   },
};

static bool read_parameter(struct filter *filter, const struct parameter *parameter,
                           const char *query, char *why)
{
	char value[VALUE_MAX];

	for (size_t n = 0;; n++) {
		enum err err = query_get_nth(query, parameter->name, n, value, sizeof value);

		if (err == ERR_NOT_FOUND)
			return true;
		if (n == FILTER_VALUES) {
			(void)snprintf(why, FILTER_WHY, "%s: expected at most %d of them",
			               parameter->name, FILTER_VALUES);
			return false;
		}
		if (err != OK || !parameter->add(filter, value)) {
			(void)snprintf(why, FILTER_WHY, "%s: expected %s", parameter->name,
			               parameter->expected);
			return false;
		}
	}
}

bool filter_read(struct filter *filter, const char *query, char why[FILTER_WHY])
{
	*filter = (struct filter){ 0 };
	for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
		if (!read_parameter(filter, &parameters[i], query, why))
			return false;
	return true;
}

void filter_done(struct filter *filter)
{
	for (size_t i = 0; i < filter->n_sessions; i++)
		mem_free(filter->session[i]);
	for (size_t i = 0; i < filter->n_devices; i++)
		mem_free(filter->device[i]);
	mem_free(filter->session);
	mem_free(filter->device);
	*filter = (struct filter){ 0 };
}

/* ---- one insight ---- */

static bool is_among(char *const *values, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(values[i], text) == 0)
			return true;
	return n == 0;
}

static uint32_t wanted_bits(const struct filter *filter)
{
	return filter->types ? filter->types : CORE_TYPES;
}

size_t filter_types(const struct filter *filter, const char *ret[FILTER_TYPES])
{
	size_t n = 0;

	for (size_t i = 0; i < FILTER_TYPES; i++)
		if (wanted_bits(filter) >> i & 1)
			ret[n++] = types[i];
	return n;
}

bool filter_is_only(const struct filter *filter, const char *device_id)
{
	for (size_t i = 0; i < filter->n_devices; i++)
		if (strcmp(filter->device[i], device_id) != 0)
			return false;
	return filter->n_devices > 0;
}

bool filter_passes(const struct filter *filter, const Publisher__Insight *insight)
{
	return (type_bit(insight->type) & wanted_bits(filter)) &&
	       is_among(filter->session, filter->n_sessions, insight->session_id) &&
	       is_among(filter->device, filter->n_devices, insight->device_id);
}
