#include "services/cli/panel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINE_MOST 4096 /* of a log; longer ones are broken */
#define COLUMNS   80   /* where the terminal does not say  */

/* One pipe whose lines are taken as they become whole. */
struct intake {
	struct panel *panel;
	int read_fd, write_fd;
	void (*take)(struct panel *panel, const char *line, size_t len);
	char line[LINE_MOST];
	size_t len;
};

struct panel {
	struct loop *loop;
	bool terminal;
	struct intake logs, own, feed; /* own: a pipe apart, for we must never wait for us */
	int kept_stderr;
	char *text;
	char *fed[PANEL_FEED_LINES]; /* oldest first, owned */
	size_t n_fed, drawn;         /* lines now on the screen */
};

const char *panel_line(const char *text, size_t nth, size_t *ret_len)
{
	for (; *text; text += strcspn(text, "\n") + 1) {
		if (nth-- > 0)
			continue;
		*ret_len = strcspn(text, "\n");
		return text;
	}
	return NULL;
}

size_t panel_fit(const char *line, size_t len, size_t columns)
{
	size_t at = 0;

	while (at < len) {
		bool begins = ((unsigned char)line[at] & 0xC0) != 0x80;

		if (begins && columns-- == 0)
			break;
		at++;
	}
	return at;
}

static size_t columns_of_terminal(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return COLUMNS;
	return size.ws_col;
}

static void erase(struct panel *panel)
{
	if (panel->drawn > 0)
		(void)printf("\033[%zuA\r\033[J", panel->drawn);
	panel->drawn = 0;
}

static void draw(struct panel *panel)
{
	size_t columns = columns_of_terminal(), len;
	const char *line;

	for (size_t i = 0; (line = panel_line(panel->text, i, &len)) != NULL; i++) {
		(void)printf("%.*s\n", (int)panel_fit(line, len, columns), line);
		panel->drawn++;
	}
	for (size_t i = 0; i < panel->n_fed; i++) {
		len = strlen(panel->fed[i]);
		(void)printf("%.*s\n", (int)panel_fit(panel->fed[i], len, columns), panel->fed[i]);
		panel->drawn++;
	}
	(void)fflush(stdout);
}

static void take_log(struct panel *panel, const char *line, size_t len)
{
	erase(panel);
	(void)printf("%.*s\n", (int)len, line);
}

static void take_feed(struct panel *panel, const char *line, size_t len)
{
	if (panel->n_fed == PANEL_FEED_LINES) {
		mem_free(panel->fed[0]);
		memmove(panel->fed, panel->fed + 1, (PANEL_FEED_LINES - 1) * sizeof panel->fed[0]);
		panel->n_fed--;
	}
	panel->fed[panel->n_fed++] = xasprintf("%.*s", (int)len, line);
}

static void cut_into_lines(struct intake *intake)
{
	char *end;

	while ((end = memchr(intake->line, '\n', intake->len)) != NULL ||
	       intake->len == sizeof intake->line) {
		size_t len = end ? (size_t)(end - intake->line) : intake->len;
		size_t used = end ? len + 1 : len;

		intake->take(intake->panel, intake->line, len);
		intake->len -= used;
		memmove(intake->line, intake->line + used, intake->len);
	}
}

static bool take_some(struct intake *intake)
{
	ssize_t n = read(intake->read_fd, intake->line + intake->len,
	                 sizeof intake->line - intake->len);

	if (n <= 0)
		return false;
	intake->len += (size_t)n;
	cut_into_lines(intake);
	return true;
}

static void on_readable(void *self)
{
	struct intake *intake = self;

	if (!take_some(intake))
		return;
	erase(intake->panel);
	draw(intake->panel);
}

static void intake_open(struct panel *panel, struct intake *intake,
                        void (*take)(struct panel *panel, const char *line, size_t len))
{
	int fds[2];

	MUST(pipe2(fds, O_CLOEXEC) == 0);
	MUST(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
	intake->panel = panel;
	intake->read_fd = fds[0];
	intake->write_fd = fds[1];
	intake->take = take;
	loop_watch(panel->loop, intake->read_fd, 2, on_readable, intake);
}

static void intake_close(struct intake *intake)
{
	(void)close(intake->write_fd);
	while (take_some(intake)) /* what the children said last */
		;
	loop_unwatch(intake->panel->loop, intake->read_fd);
	(void)close(intake->read_fd);
}

struct panel *panel_new(struct loop *loop)
{
	struct panel *panel = xcalloc(1, sizeof *panel);

	panel->loop = loop;
	panel->text = xstrdup("");
	panel->terminal = isatty(STDOUT_FILENO) && isatty(STDERR_FILENO);
	if (!panel->terminal)
		return panel;
	intake_open(panel, &panel->logs, take_log);
	intake_open(panel, &panel->own, take_log);
	intake_open(panel, &panel->feed, take_feed);
	MUST(fcntl(panel->own.write_fd, F_SETFL, O_NONBLOCK) == 0);
	panel->kept_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	MUST(panel->kept_stderr >= 0 && dup2(panel->own.write_fd, STDERR_FILENO) >= 0);
	return panel;
}

void panel_free(struct panel *panel)
{
	if (!panel)
		return;
	if (panel->terminal) {
		(void)dup2(panel->kept_stderr, STDERR_FILENO);
		(void)close(panel->kept_stderr);
		intake_close(&panel->own);
		intake_close(&panel->logs);
		intake_close(&panel->feed);
	}
	for (size_t i = 0; i < panel->n_fed; i++)
		mem_free(panel->fed[i]);
	mem_free(panel->text);
	mem_free(panel);
}

int panel_log_fd(const struct panel *panel)
{
	return panel->terminal ? panel->logs.write_fd : -1;
}

int panel_feed_fd(const struct panel *panel)
{
	return panel->terminal ? panel->feed.write_fd : -1;
}

static void print_changes(const char *old, const char *text)
{
	size_t len, old_len;
	const char *line;

	for (size_t i = 0; (line = panel_line(text, i, &len)) != NULL; i++) {
		const char *before = panel_line(old, i, &old_len);

		if (!before || old_len != len || memcmp(before, line, len) != 0)
			(void)printf("%.*s\n", (int)len, line);
	}
	(void)fflush(stdout);
}

void panel_show(struct panel *panel, const char *text)
{
	char *old = panel->text;

	if (strcmp(old, text) == 0)
		return;
	panel->text = xstrdup(text);
	if (panel->terminal) {
		erase(panel);
		draw(panel);
	} else {
		print_changes(old, text);
	}
	mem_free(old);
}
