/* Sessions that go on with another connection: what their devices keep, and what is stored. */
#include "integration/sim/check_internal.h"

#include <inttypes.h>
#include <string.h>

void check_line_add(struct episode *session, uint32_t serial)
{
	if (session->n_line == session->cap_line) {
		session->cap_line = session->cap_line ? 2 * session->cap_line : 64;
		session->line = xrealloc(session->line, session->cap_line, sizeof *session->line);
	}
	session->line[session->n_line++] = serial;
}

static struct episode *named(struct check *check, const char *text)
{
	char id[UUID_TEXT] = "";
	struct uuid session;

	memcpy(id, text, UUID_TEXT - 1);
	return uuid_parse(id, &session) ? check_find_session(check, &session) : NULL;
}

void check_resume_asked(struct check *check, unsigned client, const char *text)
{
	struct episode *session = named(check, text);

	MUST(session != NULL); /* a handshake has named it */
	session->asked = client;
	session->asking++;
}

void check_resumed_late(struct check *check, const char *text)
{
	struct episode *session = named(check, text);

	if (session)
		session->asking--;
}

void check_resumed(struct check *check, unsigned client, const char *text, uint64_t acked)
{
	struct episode *session = named(check, text);

	if (!session || session->device != check->client[client].device) {
		check_broken(check, "P9: resumed as %.36s, no session of this device", text);
		return;
	}
	if (acked < session->told || acked > session->n_line)
		check_broken(check,
		             "P9: resumed behind frame %" PRIu64 ": %" PRIu64
		             " were acknowledged and %zu sent",
		             acked, session->told, session->n_line);
	session->client = client;
	session->asking--;
	session->contested = session->asking > 0;
	check->client[client].session = session;
	check_acked(check, client, acked);
}

bool check_kept(const struct check *check, unsigned client, uint64_t number, uint32_t *ret_serial)
{
	const struct episode *session = check->client[client].session;

	if (!session || number >= session->n_line)
		return false;
	*ret_serial = session->line[number];
	return true;
}

void check_lose_kept(struct check *check, unsigned client, uint64_t acked)
{
	struct episode *session = check->client[client].session;

	if (session && acked < session->n_line)
		session->n_line = acked;
}

void check_acked(struct check *check, unsigned client, uint64_t frames)
{
	struct episode *session = check->client[client].session;

	if (session && frames > session->told)
		session->told = frames;
}

/* ---- the end ---- */

void check_line_stored(struct check *check, struct episode *session, uint32_t serial)
{
	if (!session->resumes)
		return;
	if (session->rows >= session->n_line)
		check_broken(check, "P9: frame %u is stored, of an epoch that was over", serial);
	else if (session->line[session->rows] != serial)
		check_broken(check,
		             "P9: frame %u is stored where frame %u belongs, of an epoch that was "
		             "over",
		             serial, session->line[session->rows]);
}

static void check_line(void *ctx, struct map_node *node)
{
	struct check *check = ctx;
	const struct episode *session = MAP_OWNER(node, struct episode, node);
	char text[UUID_TEXT];

	if (!session->resumes)
		return;
	uuid_text(&session->id, text);
	if (session->rows < session->told)
		check_broken(check,
		             "P9: of session %s %" PRIu64 " frames were acknowledged and %" PRIu64
		             " are stored",
		             text, session->told, session->rows);
	if (session->asked > session->client || session->contested ||
	    check->client[session->client].edge_died)
		return; /* its device would send them again */
	for (uint64_t i = session->rows; i < session->n_line; i++)
		if (check->frame[session->line[i]].taken_by == session->client + 1)
			check_broken(check,
			             "P3: frame %u was taken by an edge that lives and is not "
			             "stored",
			             session->line[i]);
}

void check_lines(struct check *check)
{
	map_each(&check->sessions, check_line, check);
}
