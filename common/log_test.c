#include "common/log.h"
#include "common/clock.h"
#include "common/mem.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Standard error goes to a file for a while. */

static char path[] = "/tmp/raeh-log-XXXXXX";
static char text[16384];
static int file, real;

static int64_t fixed(void *ctx)
{
	(void)ctx;
	return 0;
}

static void given(void)
{
	clock_set_source(fixed, NULL, INT64_C(1776184865000));
	file = mkstemp(path);
	cr_assert_geq(file, 0);
	log_init("edge", LOG_INFO);
}

static void done(void)
{
	(void)close(file);
	(void)unlink(path);
	clock_set_source(NULL, NULL, 0);
}

static void capture(void)
{
	real = dup(STDERR_FILENO);
	cr_assert_eq(dup2(file, STDERR_FILENO), STDERR_FILENO);
}

static void release(void)
{
	ssize_t n;

	cr_assert_eq(dup2(real, STDERR_FILENO), STDERR_FILENO);
	(void)close(real);
	n = pread(file, text, sizeof text - 1, 0);
	cr_assert_geq(n, 0);
	text[n] = '\0';
}

#define CAPTURED(call)                                                                             \
	do {                                                                                       \
		capture();                                                                         \
		call;                                                                              \
		release();                                                                         \
	} while (0)

TestSuite(log, .init = given, .fini = done);

Test(log, writes_time_level_service_event_and_words_in_one_line)
{
	CAPTURED(log_info("session-opened", "session=%s frames=%d", "0190", 7));
	cr_assert_str_eq(text, "2026-04-14T16:41:05.000Z info edge session-opened "
	                       "session=0190 frames=7\n");
}

Test(log, leaves_out_what_is_below_its_level)
{
	CAPTURED(log_debug("detail", "x=%d", 1));
	cr_assert_str_eq(text, "");
	log_init("edge", LOG_ERROR);
	CAPTURED(log_warn("odd", "x=%d", 1));
	cr_assert_str_eq(text, "");
	CAPTURED(log_error("bad", "x=%d", 1));
	cr_assert_not_null(strstr(text, " error edge bad x=1\n"));
}

Test(log, makes_one_line_of_what_a_client_wrote_as_several)
{
	CAPTURED(log_info("refused", "reason=\"%s\"", "a\nb\r\nc\td\x1b[31m"));
	cr_assert_not_null(strstr(text, "a b  c d [31m"));
	cr_assert_eq(strchr(text, '\n'), text + strlen(text) - 1);
}

Test(log, cuts_a_line_that_is_too_long)
{
	AUTO_MEM char *words = xcalloc(1, 10001);

	memset(words, 'w', 10000);
	CAPTURED(log_info("long", "%s", words));
	cr_assert_leq(strlen(text), 2048);
	cr_assert_eq(text[strlen(text) - 1], '\n');
}

Test(log, never_writes_a_key_wherever_it_stands)
{
	const char *lines[] = {
		"raeh_ABCDEFGHIJKLMNOP1234567890abcdef",
		"key=raeh_ABCDEFGHIJKLMNOP1234567890abcdef&x=1",
		"\"raeht_eyJhbGciOi.ABCDEFGHIJKLMNOP-1234_567890abcdef\"",
		"raeh_ABCDEFGHIJKLMNOP1234 raeh_ABCDEFGHIJKLMNOP1234",
		"raehraeh_ABCDEFGHIJKLMNOP1234567890abcdef",
		"bearer, raeh_ABCD",
		"raeh_ABC",
		"Cookie: a=b; raeh_session=raehs_ABCDEFGHIJKLMNOP1234567890abcdef",
		"/invite/raehi_ABCDEFGHIJKLMNOP1234567890abcdef",
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		cr_assert_eq(ftruncate(file, 0), 0);
		cr_assert_eq(lseek(file, 0, SEEK_SET), 0);
		CAPTURED(log_info("request", "%s", lines[i]));
		cr_assert_null(strstr(text, "ABC"), "wrote %s", text);
		cr_assert_not_null(strstr(text, "raeh"), "wrote %s", text);
	}
}

Test(log, redacts_in_place_and_never_makes_a_text_longer)
{
	struct {
		const char *given, *expected;
	} rows[] = {
		{"",		         ""                    },
		{ "raeh",                    "raeh"                },
		{ "raeh-edge started",       "raeh-edge started"   },
		{ "raeht",                   "raeht"               },
		{ "raeh_",                   "raeh_"               },
		{ "raeh_short",              "raeh_*****"          },
		{ "raeh_ABCDEFGHIJ",         "raeh_[redacted]"     },
		{ "a raeh_ABCDEFGHIJKLM, b", "a raeh_[redacted], b"},
		{ "raeht_ABCDEFGHIJKLM.N",   "raeht_[redacted]"    },
		{ "raehs_ABCDEFGHIJKLMN",    "raehs_[redacted]"    },
		{ "raehx_ABCDEFGHIJKLMN",    "raehx_ABCDEFGHIJKLMN"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_MEM char *copy = xstrdup(rows[i].given);

		log_redact(copy);
		cr_assert_str_eq(copy, rows[i].expected);
	}
}
