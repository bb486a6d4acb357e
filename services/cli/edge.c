/*
 * raeh edge - one edge of a stack whose other services run elsewhere, each in a container.
 *
 *     settings ─► listening sockets ─► raeh-edge, in our place
 *
 * The settings are those of `raeh up`, and so is what it refuses: an address that others
 * reach, without TLS or a proxy.
 */
#include "common/log.h"
#include "services/cli/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* A listening socket that is inherited, or -1 and why. */
static int open_inherited(struct listen_address *address, char why[256])
{
	int fd;

	if (listen_open(address, &fd, 1, why) != OK)
		return -1;
	MUST(fcntl(fd, F_SETFD, 0) == 0);
	return fd;
}

static int become_edge(struct up_settings *settings, int64_t slot)
{
	AUTO_MEM char *directory = cli_own_directory();
	int listen_fd, admin_fd = -1;
	char why[256];

	if (!directory)
		return cli_fail("/proc/self/exe: %s", strerror(errno));
	listen_fd = open_inherited(&settings->address, why);
	if (listen_fd >= 0 && settings->admin)
		admin_fd = open_inherited(&settings->admin_address, why);
	if (listen_fd < 0 || (settings->admin && admin_fd < 0))
		return cli_fail("%s", why);
	stack_raise_file_limit();
	stack_become_edge(settings, directory, slot, listen_fd, admin_fd);
	return cli_fail("%s/raeh-edge: %s", directory, strerror(errno));
}

int edge_run(const struct command *self, int argc, char **argv)
{
	struct up_settings settings;
	int64_t slot;
	const struct config_item own = {
		"slot", CONFIG_INT, &slot, "0", 0, 255, "which edge it is"
	};
	int status = up_settings_load(self, argc, argv, &own, &settings);
	char why[256];

	if (status >= 0)
		return status;
	if (!up_settings_check(&settings, why))
		return cli_misused(self, "%s", why);
	log_init("raeh edge", LOG_INFO);
	return become_edge(&settings, slot);
}
