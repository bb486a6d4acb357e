#include "services/cli/stack.h"

#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define WORDS_MOST   64
#define FILES_WANTED 4096 /* fewer descriptors deserve a word */

struct words {
	char *at[WORDS_MOST + 1];
	size_t n;
};

static void add(struct words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct words *words, const char *format, ...)
{
	va_list args;
	char word[4096];

	MUST(words->n < WORDS_MOST);
	va_start(args, format);
	MUST(vsnprintf(word, sizeof word, format, args) < (int)sizeof word);
	va_end(args);
	words->at[words->n++] = xstrdup(word);
}

static void add_setting(struct words *words, const char *flag, const char *value)
{
	add(words, "%s", flag);
	add(words, "%s", value);
}

static void add_number(struct words *words, const char *flag, int64_t value)
{
	add(words, "%s", flag);
	add(words, "%" PRId64, value);
}

/* Said in full, so that an environment variable cannot say otherwise to the child alone. */
static void add_switch(struct words *words, const char *flag, bool value)
{
	add(words, "%s=%s", flag, value ? "true" : "false");
}

static struct words words_of(const char *name, const struct up_settings *settings)
{
	struct words words = { 0 };

	add(&words, "%s", name);
	add_setting(&words, "--data", settings->data);
	add_setting(&words, "--log-level", settings->log_level);
	return words;
}

/* Makes the child and starts it; words end with the copy. */
static void start(struct supervisor *supervisor, const char *directory, const struct words *words,
                  struct child child)
{
	child.program = xasprintf("%s/%s", directory, words->at[0]);
	child.argv = xcalloc(words->n + 1, sizeof(char *));
	memcpy((void *)child.argv, (const void *)words->at, words->n * sizeof(char *));
	supervisor_add(supervisor, &child);
}

static struct words edge_words(const struct up_settings *settings, int64_t slot, int listen_fd,
                               int admin_fd)
{
	struct words words = words_of("raeh-edge", settings);

	add_number(&words, "--slot", slot);
	add_number(&words, "--listen-fd", listen_fd);
	add_number(&words, "--edges", settings->edges);
	add_number(&words, "--publishers", settings->publishers);
	add_number(&words, "--idle-timeout-s", settings->idle_timeout_s);
	add_number(&words, "--pause-timeout-s", settings->pause_timeout_s);
	add_number(&words, "--limit-frames", settings->limit_frames);
	add_number(&words, "--limit-bytes", settings->limit_bytes);
	add_number(&words, "--limit-requests", settings->limit_requests);
	add_number(&words, "--limit-connections", settings->limit_connections);
	add_number(&words, "--limit-sockets", settings->limit_sockets);
	add_number(&words, "--address-connections", settings->address_connections);
	add_number(&words, "--address-handshakes", settings->address_handshakes);
	add_switch(&words, "--echo", settings->echo);
	add_switch(&words, "--behind-proxy", settings->behind_proxy);
	if (settings->tls_cert) {
		add_setting(&words, "--tls-cert", settings->tls_cert);
		add_setting(&words, "--tls-key", settings->tls_key);
	}
	if (admin_fd >= 0)
		add_number(&words, "--admin-fd", admin_fd);
	return words;
}

void stack_start(struct supervisor *supervisor, const struct up_settings *settings,
                 const char *directory, const int *listen_fds, struct stack_outputs outputs)
{
	struct child core = {
		.keep_fd = {-1, -1},
                  .output_fd = -1, .log_fd = outputs.log_fd
	};
	struct words words = words_of("raeh-auth", settings);

	add_number(&words, "--lease-ms", settings->lease_ms);
	add_setting(&words, "--sign-up", settings->sign_up);
	core.label = xstrdup("raeh-auth");
	start(supervisor, directory, &words, core);

	words = words_of("raeh-router", settings);
	add_number(&words, "--publishers", settings->publishers);
	core.label = xstrdup("raeh-router");
	start(supervisor, directory, &words, core);

	for (int64_t i = 0; i < settings->publishers; i++) {
		words = words_of("raeh-publisher", settings);
		add_number(&words, "--number", i);
		add_number(&words, "--publishers", settings->publishers);
		add_number(&words, "--retain-frames-s", settings->retain_frames_s);
		add_number(&words, "--retain-insights-s", settings->retain_insights_s);
		core.label = xasprintf("raeh-publisher %" PRId64, i);
		start(supervisor, directory, &words, core);
	}
	for (int64_t i = 0; i < settings->edges; i++) {
		struct child edge = core;

		edge.front = true;
		edge.keep_fd[0] = listen_fds[i];
		/* one address, so one edge answers for all */
		edge.keep_fd[1] = i == 0 ? listen_fds[UP_MAX_EDGES] : -1;
		words = edge_words(settings, i, edge.keep_fd[0], edge.keep_fd[1]);
		edge.label = xasprintf("raeh-edge %" PRId64, i);
		start(supervisor, directory, &words, edge);
	}
}

void stack_raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		log_warn("file-limit", "why=\"%s\"", strerror(errno));
	if (limit.rlim_max < FILES_WANTED)
		log_warn("file-limit",
		         "allowed=%" PRIu64
		         " why=\"an edge holds fewer sockets than that; raise it "
		         "with ulimit -Hn\"",
		         (uint64_t)limit.rlim_max);
}

void stack_become_edge(const struct up_settings *settings, const char *directory, int64_t slot,
                       int listen_fd, int admin_fd)
{
	struct words words = edge_words(settings, slot, listen_fd, admin_fd);
	AUTO_MEM char *program = xasprintf("%s/%s", directory, words.at[0]);

	(void)execv(program, words.at);
	while (words.n > 0)
		mem_free(words.at[--words.n]);
}

void stack_start_demo(struct supervisor *supervisor, const struct up_settings *settings,
                      const char *directory, const char *url, struct stack_outputs outputs)
{
	struct child child = {
		.keep_fd = {-1, -1},
		.output_fd = outputs.feed_fd,
		.log_fd = outputs.log_fd,
		.front = true
	};
	struct words words = { 0 };

	add(&words, "raeh");
	add(&words, "demo");
	add_setting(&words, "--data", settings->data);
	add_setting(&words, "--url", url);
	if (settings->tls_cert) /* our own certificate, whoever signed it */
		add_setting(&words, "--ca", settings->tls_cert);
	child.label = xstrdup("raeh demo");
	start(supervisor, directory, &words, child);
}

char *stack_status(const struct supervisor *supervisor)
{
	size_t n;
	const struct child *child = supervisor_children(supervisor, &n);
	struct buf text = { 0 };

	for (size_t i = 0; i < n; i++) {
		char line[128], pid[24] = "-", state[32] = "running";

		if (child[i].state == CHILD_RUNNING)
			(void)snprintf(pid, sizeof pid, "%d", (int)child[i].pid);
		else if (child[i].state == CHILD_STOPPED)
			(void)snprintf(state, sizeof state, "stopped");
		else
			(void)snprintf(state, sizeof state, "waits to restart");
		(void)snprintf(line, sizeof line, "%-18s pid %-8s %-16s restarts %u\n",
		               child[i].label, pid, state, child[i].restarts);
		buf_append(&text, line, strlen(line));
	}
	buf_append(&text, "", 1);
	return (char *)text.data;
}
