/*
 * frame_decode - the frame decoder at the command line, for the reference to be held against.
 *
 *     slot_id,bit_depth,num_channels …\n     the session's slots: first line
 *     0102…\n                                one message in hex a line
 *
 * Answers each message with one line of JSON: what frame_parse read (null: nothing), whether
 * frame_head writes the same bytes, and what frame_refusal says.
 */
#include "common/frame.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MOST 256

struct session {
	Raeh__Slot slot[SLOTS_MOST], *slots[SLOTS_MOST];
	size_t n;
};

static void read_slots(struct session *session, char *line)
{
	char *rest = NULL;

	for (char *word = strtok_r(line, " \n", &rest); word && session->n < SLOTS_MOST;
	     word = strtok_r(NULL, " \n", &rest)) {
		Raeh__Slot *slot = &session->slot[session->n];
		unsigned id, depth, channels;

		MUST(sscanf(word, "%u,%u,%u", &id, &depth, &channels) == 3);
		raeh__slot__init(slot);
		slot->slot_id = id;
		slot->bit_depth = depth;
		slot->num_channels = channels;
		session->slots[session->n++] = slot;
	}
}

static size_t from_hex(const char *text, uint8_t *ret)
{
	size_t n = 0;

	for (; isxdigit((unsigned char)text[0]) && isxdigit((unsigned char)text[1]); text += 2) {
		const char pair[3] = { text[0], text[1], '\0' };

		ret[n++] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return n;
}

static void decode(const struct session *session, struct bytes message)
{
	uint8_t head[FRAME_HEAD_BYTES];
	struct frame frame;
	char why[124] = "";
	int code = frame_refusal(message, session->slots, session->n, why);

	if (frame_parse(message, &frame)) {
		frame_head(&frame, head);
		(void)printf("{\"slot\":%u,\"t0\":%" PRId64 ",\"samples\":%u,\"flags\":%u,"
		             "\"payload\":%zu,\"same\":%s,",
		             frame.slot_id, frame.t0_epoch_ms, frame.sample_count, frame.flags,
		             frame.payload.len,
		             memcmp(head, message.data, sizeof head) == 0 ? "true" : "false");
	} else {
		(void)printf("{\"slot\":null,");
	}
	(void)printf("\"code\":%d,\"why\":\"%s\"}\n", code, why); /* why has nothing to escape */
}

int main(void)
{
	struct session *session = xcalloc(1, sizeof *session);
	char *line = NULL;
	size_t room = 0;
	ssize_t len;

	if (getline(&line, &room, stdin) > 0)
		read_slots(session, line);
	while ((len = getline(&line, &room, stdin)) > 0) {
		/* Exactly as long as the message, so that a read past its end is seen. */
		uint8_t *message = xcalloc(1, (size_t)len / 2);
		size_t n = from_hex(line, message);

		decode(session, BYTES(message, n));
		mem_free(message);
	}
	free(line);
	mem_free(session);
	return 0;
}
