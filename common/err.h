/*
 * err - one value per reaction, not per cause.
 *
 * The cause in words stays with the object that failed (bus_why(), store_why()).
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

enum err {
	OK = 0,
	ERR_AGAIN,       /* not now: the peer is slow or absent; try later     */
	ERR_MALFORMED,   /* the bytes are not what they must be                */
	ERR_NOT_FOUND,   /* unknown in this account, or never made             */
	ERR_CONFLICT,    /* the state does not allow it (409)                  */
	ERR_LIMIT,       /* a bound that somebody can reach was reached        */
	ERR_DENIED,      /* known, but without the right                       */
	ERR_UNAVAILABLE, /* a service behind is away or a deadline has passed  */
	ERR_IO,          /* the disk or the system refused                     */
};

#define CHECKED __attribute__((warn_unused_result))

/* "ok", "again", "malformed" … Never NULL. */
const char *err_name(enum err err);

#endif
