#include "common/store_space.h"

#include "common/clock.h"

#include <sys/statvfs.h>

#define RESERVE_MOST_BYTES ((uint64_t)64 << 20)
#define RESERVE_SHARE      10 /* of a small file system: one in ten */
#define ASK_EVERY_MS       100

static void ask(struct store_space *space)
{
	struct statvfs fs;
	uint64_t reserve;

	space->asked_ms = clock_boot_ms();
	space->written_bytes = 0;
	if (statvfs(space->directory, &fs) != 0)
		return; /* a directory that is gone is for the engine to report */
	reserve = (uint64_t)fs.f_blocks * fs.f_frsize / RESERVE_SHARE;
	space->reserve_bytes = reserve < RESERVE_MOST_BYTES ? reserve : RESERVE_MOST_BYTES;
	space->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
}

void store_space_init(struct store_space *space, const char *directory)
{
	*space = (struct store_space){ .directory = directory };
	ask(space);
}

bool store_space_has_room(struct store_space *space, size_t bytes, bool only_deletes)
{
	uint64_t reserve;

	if (clock_boot_ms() - space->asked_ms >= ASK_EVERY_MS ||
	    space->written_bytes + bytes >= space->reserve_bytes / 8)
		ask(space);
	reserve = only_deletes ? space->reserve_bytes / 4 : space->reserve_bytes;
	if (space->free_bytes < reserve)
		return false;
	space->written_bytes += bytes;
	return true;
}

bool store_space_is_short(const struct store_space *space)
{
	return space->free_bytes < space->reserve_bytes;
}
