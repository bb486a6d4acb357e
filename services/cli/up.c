/*
 * raeh up - the whole stack in the foreground.
 *
 *     settings ─► directory, lock ─► listening sockets ─► children ─► /readyz ─► ready
 */
#include "common/log.h"
#include "services/cli/http_client.h"
#include "services/cli/installation.h"
#include "services/cli/panel.h"
#include "services/cli/stack.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROBE_SOON_MS    100  /* until it is ready                    */
#define PROBE_LATER_MS   2000 /* afterwards                           */
#define PROBE_TIMEOUT_MS 3000

struct up {
	struct up_settings settings;
	char *directory, *url;
	struct url parsed_url;
	int listen_fd[UP_MAX_EDGES + 1]; /* one an edge; the last is the admin address's */
	struct loop *loop;
	struct web *web;
	struct panel *panel;
	struct supervisor *supervisor;
	struct timer probe;
	bool ready, demo_started;
	char not_ready[256], demo_login[512]; /* "" or a line */
};

static void show(void *self)
{
	struct up *up = self;
	AUTO_MEM char *status = NULL, *text = NULL;

	if (!up->supervisor)
		return;
	status = stack_status(up->supervisor);
	if (supervisor_is_stopping(up->supervisor))
		text = xasprintf("stopping\n%s", status);
	else if (up->ready)
		text = xasprintf("ready: %s\n%s%s", up->url, up->demo_login, status);
	else
		text = xasprintf("not ready: %s\n%s", up->not_ready, status);
	panel_show(up->panel, text);
}

static struct stack_outputs outputs_of(const struct up *up)
{
	return (struct stack_outputs){ panel_log_fd(up->panel), panel_feed_fd(up->panel) };
}

static void probe(void *self);

static void explain(struct up *up, const struct http_answer *answer)
{
	if (answer->status == 0)
		(void)snprintf(up->not_ready, sizeof up->not_ready, "no edge answers");
	else
		http_explain(answer, up->not_ready);
}

static void say_login(struct up *up)
{
	char password[DEMO_PASSWORD];

	if (demo_password(up->settings.data, password))
		(void)snprintf(up->demo_login, sizeof up->demo_login,
		               "dashboard: %s/ log in as %s with the password %s\n", up->url,
		               DEMO_ACCOUNT, password);
}

static void on_probed(void *self, const struct http_answer *answer)
{
	struct up *up = self;
	bool was_ready = up->ready;

	if (supervisor_is_stopping(up->supervisor))
		return;
	up->ready = answer->status == 200;
	/* The words change from answer to answer: where lines stay, one a fall is enough. */
	if (!up->ready && (was_ready || panel_log_fd(up->panel) >= 0))
		explain(up, answer);
	if (up->ready && up->settings.demo && !up->demo_started) {
		up->demo_started = true;
		say_login(up);
		stack_start_demo(up->supervisor, &up->settings, up->directory, up->url,
		                 outputs_of(up));
	}
	show(up);
	timer_set(up->loop, &up->probe, up->ready ? PROBE_LATER_MS : PROBE_SOON_MS, probe, up);
}

static void probe(void *self)
{
	struct up *up = self;
	const struct http_request request = { .url = &up->parsed_url,
		                              .method = "GET",
		                              .path = "/readyz",
		                              .timeout_ms = PROBE_TIMEOUT_MS,
		                              .unverified = true };

	if (!supervisor_is_stopping(up->supervisor))
		http_call(up->web, &request, on_probed, up);
}

/* What has not been accepted yet is refused from now on, instead of waiting for nobody. */
static void close_listening(struct up *up)
{
	for (size_t i = 0; i < ARRAY_LEN(up->listen_fd); i++) {
		if (up->listen_fd[i] >= 0)
			(void)close(up->listen_fd[i]);
		up->listen_fd[i] = -1;
	}
}

static void on_stop(void *self)
{
	struct up *up = self;

	timer_stop(up->loop, &up->probe);
	close_listening(up);
	supervisor_stop(up->supervisor);
}

static void on_stopped(void *self)
{
	struct up *up = self;

	web_stop(up->web);
}

/* Directory, lock, sockets: what can be in the way, before anything runs. */
static int prepare(struct up *up)
{
	char why[256];

	for (size_t i = 0; i < ARRAY_LEN(up->listen_fd); i++)
		up->listen_fd[i] = -1;
	up->directory = cli_own_directory();
	if (!up->directory)
		return cli_fail("/proc/self/exe: %s", strerror(errno));
	if (installation_make(up->settings.data, why) != OK ||
	    installation_lock(up->settings.data, why) != OK ||
	    listen_open(&up->settings.address, up->listen_fd, (size_t)up->settings.edges, why) !=
	            OK ||
	    (up->settings.admin &&
	     listen_open(&up->settings.admin_address, &up->listen_fd[UP_MAX_EDGES], 1, why) != OK))
		return cli_fail("%s", why);
	if (up->settings.demo) {
		AUTO_MEM char *recording = demo_recording(up->directory);

		if (access(recording, R_OK) != 0)
			return cli_fail("--demo needs the recording %s: %s", recording,
			                strerror(errno));
	}
	up->url = listen_url(&up->settings.address, up->settings.tls_cert, true);
	MUST(url_parse(up->url, &up->parsed_url, why));
	if (installation_announce(up->settings.data, up->url, (int)up->settings.edges,
	                          (int)up->settings.publishers, why) != OK)
		return cli_fail("%s", why);
	stack_raise_file_limit();
	return -1;
}

static int run(struct up *up)
{
	int status;

	up->loop = loop_new();
	loop_on_signal(up->loop, SIGTERM, on_stop, up);
	loop_on_signal(up->loop, SIGINT, on_stop, up);
	(void)signal(SIGPIPE, SIG_IGN);
	up->web = web_new(up->loop, NULL);
	if (!up->web)
		return cli_fail("no memory for the client of /readyz");
	up->panel = panel_new(up->loop);
	(void)snprintf(up->not_ready, sizeof up->not_ready, "starting");
	up->supervisor = supervisor_new(up->loop, show, on_stopped, up);
	stack_start(up->supervisor, &up->settings, up->directory, up->listen_fd, outputs_of(up));
	probe(up);
	web_run(up->web);
	show(up);
	status = supervisor_failed(up->supervisor) ? CLI_FAILED : CLI_DONE;
	panel_free(TAKE(up->panel));
	return status;
}

int up_run(const struct command *self, int argc, char **argv)
{
	struct up up = { 0 };
	int status = up_settings_load(self, argc, argv, NULL, &up.settings);
	char why[256];

	for (size_t i = 0; i < ARRAY_LEN(up.listen_fd); i++)
		up.listen_fd[i] = -1;
	if (status >= 0)
		return status;
	if (!up_settings_check(&up.settings, why))
		return cli_misused(self, "%s", why);
	log_init("up", LOG_INFO);
	status = prepare(&up);
	if (status < 0)
		status = run(&up);
	supervisor_free(up.supervisor);
	web_free(up.web);
	panel_free(up.panel);
	loop_free(up.loop);
	mem_free(up.url);
	mem_free(up.directory);
	return status;
}
