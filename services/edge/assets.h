/*
 * assets - the dashboard's files, which are part of the program.
 *
 * What has the digest of its content in its name is kept for ever by browsers; index.html is
 * asked about each time. The page may load, connect to and be framed by nothing but this host,
 * and runs no inline script: whatever got into it could not talk to anybody.
 */
#ifndef EDGE_ASSETS_H
#define EDGE_ASSETS_H

#include "services/edge/net.h"

struct asset {
	const char *path, *type, *etag;
	bool immutable;
	struct bytes plain, gzip, br; /* data NULL: would not be smaller */
};

/* Made by the Makefile from services/edge/dashboard (embed.mjs). */
extern const struct asset assets[];
extern const size_t assets_count;

/* Answers a request for one of the n files, "/" for index.html. False: it is none. */
bool assets_answer(const struct asset *table, size_t n, struct conn *conn,
                   const struct net_request *request);
/* Answers with index.html a browser that opens a page of the dashboard by its address, which
 * the dashboard itself tells apart. False: it is no such request. */
bool assets_answer_page(const struct asset *table, size_t n, struct conn *conn,
                        const struct net_request *request);

#endif
