#include "services/cli/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 4096 /* connections that may wait for an edge to come back */

static bool parse_port(const char *text, in_port_t *ret)
{
	long port = 0;

	if (!*text || strlen(text) > 5)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		port = port * 10 + (*text - '0');
	}
	if (port > 65535)
		return false;
	*ret = htons((in_port_t)port);
	return true;
}

static bool parse_host(const char *host, in_port_t port, struct listen_address *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->at;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->at;
	size_t len = strlen(host);
	char inner[64];

	*ret = (struct listen_address){ 0 };
	if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
	              &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = port;
		ret->len = sizeof *v4;
		return true;
	}
	if (len < 2 || len >= sizeof inner || host[0] != '[' || host[len - 1] != ']')
		return false;
	(void)snprintf(inner, sizeof inner, "%.*s", (int)len - 2, host + 1);
	if (inet_pton(AF_INET6, inner, &v6->sin6_addr) != 1)
		return false;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = port;
	ret->len = sizeof *v6;
	return true;
}

bool listen_parse(const char *text, struct listen_address *ret, char why[256])
{
	const char *colon = strrchr(text, ':');
	struct listen_address parsed;
	in_port_t port;
	char host[64];

	if (colon && (size_t)(colon - text) < sizeof host && parse_port(colon + 1, &port)) {
		(void)snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
		if (parse_host(host, port, &parsed)) {
			*ret = parsed;
			return true;
		}
	}
	(void)snprintf(why, 256,
	               "expected ADDRESS:PORT as 127.0.0.1:8080 or [::1]:8080, got \"%.60s\"",
	               text);
	return false;
}

bool listen_is_loopback(const struct listen_address *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->at;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->at;

	if (address->at.ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

int listen_port(const struct listen_address *address)
{
	if (address->at.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)&address->at)->sin_port);
	return ntohs(((const struct sockaddr_in6 *)&address->at)->sin6_port);
}

/* A listening socket, or -1 with errno. */
static int open_one(struct listen_address *address, bool shared)
{
	int fd = socket(address->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, kept;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	    (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
	    (address->at.ss_family != AF_INET6 ||
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
	    bind(fd, (struct sockaddr *)&address->at, address->len) == 0 &&
	    listen(fd, BACKLOG) == 0 &&
	    getsockname(fd, (struct sockaddr *)&address->at, &address->len) == 0)
		return fd;
	kept = errno;
	(void)close(fd);
	errno = kept;
	return -1;
}

/* SO_REUSEPORT would let us join the sockets of another stack of the same user, so the
 * first try is made without it. */
static int open_exclusively(const struct listen_address *address)
{
	struct listen_address copy = *address;
	int fd = listen_port(address) == 0 ? 0 : open_one(&copy, false);

	if (fd > 0)
		(void)close(fd);
	return fd < 0 ? -1 : 0;
}

enum err listen_open(struct listen_address *address, int *ret_fds, size_t n, char why[256])
{
	AUTO_MEM char *url = listen_url(address, false, false);
	size_t opened = 0;
	int fault;

	if (open_exclusively(address) == 0)
		while (opened < n && (ret_fds[opened] = open_one(address, true)) >= 0)
			opened++;
	if (opened == n)
		return OK;
	fault = errno;
	while (opened > 0)
		(void)close(ret_fds[--opened]);
	if (fault == EADDRINUSE)
		(void)snprintf(why, 256,
		               "%s is taken: another program listens there (see it with "
		               "`ss -ltnp`); stop it or choose another address with --listen",
		               url + strlen("http://"));
	else
		(void)snprintf(why, 256, "cannot listen on %s: %s", url + strlen("http://"),
		               strerror(fault));
	return fault == EADDRINUSE ? ERR_CONFLICT : ERR_IO;
}

char *listen_url(const struct listen_address *address, bool tls, bool reachable)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->at;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->at;
	const char *scheme = tls ? "https" : "http";
	char host[INET6_ADDRSTRLEN];

	if (address->at.ss_family == AF_INET) {
		if (reachable && v4->sin_addr.s_addr == htonl(INADDR_ANY))
			return xasprintf("%s://127.0.0.1:%d", scheme, listen_port(address));
		MUST(inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host));
		return xasprintf("%s://%s:%d", scheme, host, listen_port(address));
	}
	if (reachable && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
		return xasprintf("%s://[::1]:%d", scheme, listen_port(address));
	MUST(inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host));
	return xasprintf("%s://[%s]:%d", scheme, host, listen_port(address));
}
