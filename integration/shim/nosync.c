/*
 * nosync - a disk that says "synced" at once, for one row of make bench: what syncing before
 * the acknowledgement costs. Loaded into the processes with LD_PRELOAD by bench.py alone: the
 * product has no switch for it.
 */
#include <unistd.h>

int fdatasync(int fd)
{
	(void)fd;
	return 0;
}

int fsync(int fd)
{
	(void)fd;
	return 0;
}
