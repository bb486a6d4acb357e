#include "services/edge/page_link.h"

#include "common/log.h"
#include "common/mem.h"
#include "services/edge/query.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 32

/* What may stand in a URL inside <> stays, and so do the characters of also. */
static void append_encoded(struct buf *buf, const char *text, size_t len, const char *also)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	                            "-._~/:";
	char hex[4];

	for (size_t i = 0; i < len; i++) {
		if (strchr(plain, text[i]) || strchr(also, text[i])) {
			buf_append(buf, &text[i], 1);
			continue;
		}
		(void)snprintf(hex, sizeof hex, "%%%02X", (unsigned char)text[i]);
		buf_append(buf, hex, 3);
	}
}

static bool is_known(const ProtobufCMessageDescriptor *command, const char *name)
{
	char timed[NAME_MAX_BYTES + 4];

	(void)snprintf(timed, sizeof timed, "%s_at", name);
	return protobuf_c_message_descriptor_get_field_by_name(command, name) ||
	       protobuf_c_message_descriptor_get_field_by_name(command, timed);
}

static void append_text(struct buf *buf, const char *text)
{
	buf_append(buf, text, strlen(text));
}

/* value: as it came, from its '=' on, or empty. Decoded first: what is a secret is told as one. */
static void append_parameter(struct buf *buf, const char *name, const char *value, size_t len)
{
	AUTO_MEM char *decoded = xcalloc(1, len + 1);

	append_encoded(buf, name, strlen(name), "");
	if (len > 0 && query_decode(value + 1, len - 1, decoded, len + 1) == OK) {
		append_text(buf, "=");
		append_encoded(buf, decoded, strlen(decoded), "");
	}
	append_text(buf, "&");
}

static void append_parameters(struct buf *buf, const char *query,
                              const ProtobufCMessageDescriptor *command, const char *param)
{
	for (const char *p = query; *p;) {
		size_t len = strcspn(p, "&");
		size_t name_len = strcspn(p, "=&");
		char name[NAME_MAX_BYTES];

		if (query_decode(p, name_len, name, sizeof name) == OK && name[0] &&
		    strcmp(name, param) != 0 && is_known(command, name))
			append_parameter(buf, name, p + name_len, len - name_len);
		p += len + (p[len] == '&');
	}
}

char *page_link(const char *path, const char *query, const ProtobufCMessageDescriptor *command,
                const char *param, const char *cursor)
{
	struct buf buf = { 0 };

	append_text(&buf, "Link: <");
	append_encoded(&buf, path, strlen(path), "%"); /* it is encoded as far as need be */
	append_text(&buf, "?");
	append_parameters(&buf, query, command, param);
	append_text(&buf, param);
	append_text(&buf, "=");
	append_encoded(&buf, cursor, strlen(cursor), "");
	append_text(&buf, ">; rel=\"next\"\r\n");
	buf_append(&buf, "", 1);
	log_redact((char *)buf.data); /* a key in another parameter */
	return (char *)buf.data;
}
