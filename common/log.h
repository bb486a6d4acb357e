/*
 * log - one line an event, to standard error.
 *
 *     2026-04-14T16:41:05.000Z info edge session-opened session=0190… device="xyz"
 *
 * Event names are fixed, kebab-case and greppable. Anything that looks like a key
 * or a token (raeh_…, raeht_…) is replaced by raeh_[redacted] before a byte is
 * written, whatever the caller passed.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Borrows service for the life of the process. */
void log_init(const char *service, enum log_level least);

void log_write(enum log_level level, const char *event, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

/* In place; for every text that leaves the process and may hold a client's words. */
void log_redact(char *text);

#endif
