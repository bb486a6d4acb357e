#include "common/clock.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
	int64_t (*boot_us)(void *ctx);
	void *ctx;
	int64_t wall_offset_ms;
} source;

static int64_t read_us(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts); /* cannot fail for these clocks */
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_boot_us(void)
{
	return source.boot_us ? source.boot_us(source.ctx) : read_us(CLOCK_BOOTTIME);
}

int64_t clock_boot_ms(void)
{
	return clock_boot_us() / 1000;
}

int64_t clock_wall_ms(void)
{
	if (source.boot_us)
		return source.boot_us(source.ctx) / 1000 + source.wall_offset_ms;
	return read_us(CLOCK_REALTIME) / 1000;
}

void clock_set_source(int64_t (*boot_us)(void *ctx), void *ctx, int64_t wall_offset_ms)
{
	source.boot_us = boot_us;
	source.ctx = ctx;
	source.wall_offset_ms = wall_offset_ms;
}

void clock_iso8601(int64_t wall_ms, char ret[25])
{
	int64_t ms = ((wall_ms % 1000) + 1000) % 1000;
	time_t seconds = (time_t)(wall_ms / 1000 - (wall_ms % 1000 < 0));
	struct tm tm;

	ret[0] = '\0';
	if (!gmtime_r(&seconds, &tm) || tm.tm_year + 1900 < 0 || tm.tm_year + 1900 > 9999)
		return;
	(void)snprintf(ret, 25, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
	               tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)ms);
}

int clock_parse_iso8601(const char *text, int64_t *ret_ms)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t ms = 0;

	if (!rest)
		return -1;
	if (*rest == '.') {
		int64_t weight = 100;

		for (rest++; *rest >= '0' && *rest <= '9'; rest++, weight /= 10)
			ms += (*rest - '0') * weight;
	}
	if (strcmp(rest, "Z") != 0)
		return -1;
	*ret_ms = (int64_t)timegm(&tm) * 1000 + ms;
	return 0;
}
