#include "common/log.h"

#include "common/clock.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static struct {
	const char *service;
	enum log_level least;
} settings = { "raeh", LOG_INFO };

void log_init(const char *service, enum log_level least)
{
	settings.service = service;
	settings.least = least;
}

static int is_key_char(int c)
{
	return isalnum(c) || c == '_' || c == '-' || c == '.';
}

/* The visible rest of "raeh_ABC…" becomes "raeh_[redacted]": shortened in place, so
 * the text never grows. A key cut short is still a key's beginning. */
void log_redact(char *text)
{
	static const char mark[] = "[redacted]";

	for (char *p = text; (p = strstr(p, "raeh")) != NULL;) {
		char *secret = p + 4 + (p[4] != '\0' && strchr("tsi", p[4]) != NULL);
		char *end;
		size_t run;

		if (*secret != '_') {
			p += 4;
			continue;
		}
		secret++;
		for (end = secret; is_key_char((unsigned char)*end); end++)
			;
		run = (size_t)(end - secret);
		if (run >= sizeof mark - 1) {
			memcpy(secret, mark, sizeof mark - 1);
			memmove(secret + sizeof mark - 1, end, strlen(end) + 1);
			p = secret + sizeof mark - 1;
		} else {
			memset(secret, '*', run);
			p = end;
		}
	}
}

void log_write(enum log_level level, const char *event, const char *format, ...)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	char line[LINE_MAX_BYTES], now[25];
	va_list args;
	int head;
	size_t len;

	if (level < settings.least)
		return;
	clock_iso8601(clock_wall_ms(), now);
	head = snprintf(line, sizeof line - 1, "%s %s %s %s ", now, names[level], settings.service,
	                event);
	if (head < 0 || (size_t)head >= sizeof line - 1)
		return;
	va_start(args, format);
	(void)vsnprintf(line + head, sizeof line - 1 - (size_t)head, format,
	                args); /* cut is fine */
	va_end(args);
	log_redact(line + head);
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	len = strlen(line);
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nowhere left to say it */
}
