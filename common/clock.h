/*
 * clock - the only caller of clock_gettime().
 *
 * Wall time stamps what people read; it may jump. Boot time (CLOCK_BOOTTIME,
 * counts suspend) measures everything that expires: deadlines, leases, timers.
 * The simulation and the tests put their own source in place of both.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void); /* ms since the epoch, UTC */
int64_t clock_boot_ms(void); /* ms since boot, never steps back */
int64_t clock_boot_us(void); /* for latencies in metrics */

/* NULL puts the real clocks back. The source gives boot time in us; wall time is
 * boot time plus the offset. */
void clock_set_source(int64_t (*boot_us)(void *ctx), void *ctx, int64_t wall_offset_ms);

/* "2026-04-14T16:41:05.000Z" into ret[25]. Years 0-9999, else "". */
void clock_iso8601(int64_t wall_ms, char ret[25]);
/* The inverse, and every other form of RFC 3339: any fraction or none, an offset as "+02:00", a
 * blank or small letters for T and Z. Days and hours that there are not are refused, and what is
 * outside of the years 0-9999 UTC. 0 on success. */
int clock_parse_iso8601(const char *text, int64_t *ret_ms);

#endif
