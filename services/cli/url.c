#include "services/cli/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct scheme {
	const char *name;
	bool tls;
	int port;
} schemes[] = {
	{"http://",   false, 80 },
	{ "ws://",    false, 80 },
	{ "https://", true,  443},
	{ "wss://",   true,  443},
};

static bool refuse(char why[256], const char *expected, const char *text)
{
	(void)snprintf(why, 256, "expected %s, got \"%.100s\"", expected, text);
	return false;
}

static bool parse_port(const char *text, size_t len, int *ret)
{
	int port = 0;

	if (len == 0 || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		port = port * 10 + (text[i] - '0');
	}
	*ret = port;
	return port >= 1 && port <= 65535;
}

/* host[:port] or [v6][:port] */
static bool parse_authority(const char *text, size_t len, struct url *url)
{
	const char *end = text + len, *host = text, *host_end, *rest;

	url->literal_v6 = len > 0 && *text == '[';
	if (url->literal_v6) {
		host++;
		host_end = memchr(host, ']', (size_t)(end - host));
		if (!host_end)
			return false;
		rest = host_end + 1;
	} else {
		host_end = memchr(text, ':', len);
		if (!host_end)
			host_end = end;
		rest = host_end;
	}
	if (host_end == host || (size_t)(host_end - host) >= sizeof url->host)
		return false;
	(void)snprintf(url->host, sizeof url->host, "%.*s", (int)(host_end - host), host);
	if (rest == end)
		return true;
	return *rest == ':' && parse_port(rest + 1, (size_t)(end - rest - 1), &url->port);
}

static bool is_plain(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 127)
			return false;
	return true;
}

bool url_parse(const char *text, struct url *ret, char why[256])
{
	struct url url = { 0 };
	const char *authority, *path;
	size_t i = 0, len;

	while (i < ARRAY_LEN(schemes) &&
	       strncasecmp(text, schemes[i].name, strlen(schemes[i].name)) != 0)
		i++;
	if (i == ARRAY_LEN(schemes) || !is_plain(text))
		return refuse(why, "a URL as http://127.0.0.1:8080 or https://host", text);
	if (strpbrk(text, "?#@"))
		return refuse(why, "a URL without user, query and fragment", "one with");
	url.tls = schemes[i].tls;
	url.port = schemes[i].port;
	authority = text + strlen(schemes[i].name);
	path = authority + strcspn(authority, "/");
	if (!parse_authority(authority, (size_t)(path - authority), &url))
		return refuse(why, "HOST or HOST:PORT (1 - 65535) in the URL", text);
	len = strlen(path);
	while (len > 0 && path[len - 1] == '/')
		len--;
	if (len >= sizeof url.path)
		return refuse(why, "a shorter path in the URL", text);
	(void)snprintf(url.path, sizeof url.path, "%.*s", (int)len, path);
	*ret = url;
	return true;
}

void url_append_encoded(struct buf *buf, const char *text)
{
	static const char hex[] = "0123456789ABCDEF", plain[] = "-._~";

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		char code[3] = { '%', hex[c >> 4], hex[c & 15] };

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    strchr(plain, c))
			buf_append(buf, text, 1);
		else
			buf_append(buf, code, sizeof code);
	}
}
