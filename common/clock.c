#include "common/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define YEAR_0_MS     INT64_C(-62167219200000)
#define YEAR_10000_MS INT64_C(253402300800000)

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

/* n digits, and text goes on behind them; false: they are not there, or beyond most. */
static bool digits(const char **text, int n, int most, int *ret)
{
	int value = 0;

	for (; n > 0; n--, (*text)++) {
		if (**text < '0' || **text > '9')
			return false;
		value = value * 10 + (**text - '0');
	}
	*ret = value;
	return value <= most;
}

static bool one_of(const char **text, const char *these)
{
	if (!**text || !strchr(these, **text))
		return false;
	(*text)++;
	return true;
}

/* "Z", or how far the clock that was read is ahead of UTC: "+02:00". */
static bool zone(const char **text, int *ret_minutes)
{
	int hours, minutes, sign = **text == '-' ? -1 : 1;

	*ret_minutes = 0;
	if (one_of(text, "Zz"))
		return true;
	if (!one_of(text, "+-") || !digits(text, 2, 23, &hours) || !one_of(text, ":") ||
	    !digits(text, 2, 59, &minutes))
		return false;
	*ret_minutes = sign * (hours * 60 + minutes);
	return true;
}

/* Any digits of a second; what is less than a millisecond is dropped. */
static bool fraction(const char **text, int *ret_ms)
{
	int weight = 100;

	*ret_ms = 0;
	if (**text != '.')
		return true;
	(*text)++;
	if (**text < '0' || **text > '9')
		return false;
	for (; **text >= '0' && **text <= '9'; (*text)++, weight /= 10)
		*ret_ms += (**text - '0') * weight;
	return true;
}

int clock_parse_iso8601(const char *text, int64_t *ret_ms)
{
	int year, month, day, hour, minute, second, ms, ahead;
	struct tm date = { 0 };
	int64_t at;

	if (!digits(&text, 4, 9999, &year) || !one_of(&text, "-") ||
	    !digits(&text, 2, 12, &month) || !one_of(&text, "-") || !digits(&text, 2, 31, &day) ||
	    !one_of(&text, "Tt ") || !digits(&text, 2, 23, &hour) || !one_of(&text, ":") ||
	    !digits(&text, 2, 59, &minute) || !one_of(&text, ":") ||
	    !digits(&text, 2, 60, &second) || !fraction(&text, &ms) || !zone(&text, &ahead) ||
	    *text)
		return -1;
	date.tm_year = year - 1900;
	date.tm_mon = month - 1;
	date.tm_mday = day;
	at = (int64_t)timegm(&date);
	if (date.tm_mon != month - 1 || date.tm_mday != day)
		return -1; /* 30 February is 2 March to timegm() */
	at = (at + (hour * 60 + minute - ahead) * 60 + second) * 1000 + ms;
	if (at < YEAR_0_MS || at >= YEAR_10000_MS)
		return -1;
	*ret_ms = at;
	return 0;
}
