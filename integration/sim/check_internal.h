/* What check.c and check_resume.c share. */
#ifndef SIM_CHECK_INTERNAL_H
#define SIM_CHECK_INTERNAL_H

#include "common/map.h"
#include "common/uuid.h"
#include "integration/sim/check.h"

#define CLIENTS_MOST  1024
#define PUBLISHERS    2
#define DEVICES       5
#define ACCOUNT_OF(d) ((d) == DEVICES - 1 ? 1u : 0u)

/* A frame, by its serial number. */
struct sent {
	unsigned client;
	uint64_t item; /* its number in the session; 0 = the edge was not given it */
	bool late, may_be_lost;
	unsigned stored;
	unsigned taken_by; /* of a session that its device resumes: the last client, + 1 */
};

struct episode {
	struct map_node node;
	struct uuid id;
	unsigned client;
	long device;
	int64_t last_t_ms;       /* of an insight published */
	bool past;               /* its device has gone on to another session */
	uint64_t rows, last_row; /* of frames that are stored; the newest one's number */
	/* Of a device that resumes: */
	bool resumes;
	unsigned asked;  /* the last client that asked to go on; 0: none */
	unsigned asking; /* how many did, and were not answered: they may be yet */
	bool contested;  /* … when the last one was: another may have taken over from it */
	uint32_t *line;  /* the serial numbers of its frames, as the device has them */
	size_t n_line, cap_line;
	uint64_t told; /* so many of them are durable, the device was told */
};

struct connection {
	bool used, device_socket;
	long device;
	uint32_t edge;
	bool edge_died;
	uint64_t items; /* frames taken */
	uint64_t acked; /* items below are durable, as the publisher said */
	struct episode *session;
	uint64_t last_heard[PUBLISHERS], first_heard[PUBLISHERS];
	unsigned account;
};

/* An insight by its number. */
struct numbered {
	bool seen;
	unsigned account;
	uint64_t hash;
};

struct check {
	struct fleet_result result;
	struct sent *frame;
	size_t n_frames, cap_frames;
	struct connection client[CLIENTS_MOST];
	struct map sessions;
	struct episode *current[DEVICES];
	struct numbered *number[PUBLISHERS];
	size_t n_numbers[PUBLISHERS];
};

struct episode *check_find_session(struct check *check, const struct uuid *id);

/* check_resume.c */
void check_line_add(struct episode *session, uint32_t serial);
/* A stored frame of this session, in the order of their numbers. */
void check_line_stored(struct check *check, struct episode *session, uint32_t serial);
void check_lines(struct check *check);

#endif
