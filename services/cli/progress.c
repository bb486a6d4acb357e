#include "services/cli/progress.h"

#include <stdio.h>

#define BAR_MOST   60
#define HOURS_MOST 9999

void progress_time(double seconds, char ret[16])
{
	long s = seconds < 0                     ? 0
	         : seconds > HOURS_MOST * 3600.0 ? HOURS_MOST * 3600L
	                                         : (long)seconds;

	if (s >= 3600)
		(void)snprintf(ret, 16, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
	else
		(void)snprintf(ret, 16, "%ld:%02ld", s / 60, s % 60);
}

static void bar_text(double share, unsigned width, char ret[BAR_MOST + 4])
{
	unsigned full;
	char *p = ret;

	*p = '\0';
	if (width == 0)
		return;
	width = width > BAR_MOST ? BAR_MOST : width;
	full = (unsigned)(share * width);
	*p++ = '[';
	for (unsigned i = 0; i < width; i++)
		*p++ = i < full ? '=' : i == full ? '>' : ' ';
	*p++ = ']';
	*p++ = ' ';
	*p = '\0';
}

static void rate_text(double bytes_per_s, char ret[24])
{
	static const char *const units[] = { "B/s", "kB/s", "MB/s", "GB/s" };
	size_t i = 0;

	for (; bytes_per_s >= 1000 && i + 1 < ARRAY_LEN(units); i++)
		bytes_per_s /= 1000;
	(void)snprintf(ret, 24, "%.*f %s", bytes_per_s < 10 && i > 0 ? 1 : 0, bytes_per_s,
	               units[i]);
}

void progress_text(const struct progress *progress, unsigned width, char ret[160])
{
	double elapsed_s = progress->elapsed_s > 0.001 ? progress->elapsed_s : 0.001;
	double share = progress->total_s > 0 ? progress->done_s / progress->total_s : 0;
	char bar[BAR_MOST + 4], done[16], total[16], left[16], rate[24];

	share = share < 0 ? 0 : share > 1 ? 1 : share;
	progress_time(progress->done_s, done);
	rate_text((double)progress->bytes / elapsed_s, rate);
	if (progress->total_s <= 0) {
		(void)snprintf(ret, 160, "%s sent  %.1f frames/s  %s", done,
		               (double)progress->frames / elapsed_s, rate);
		return;
	}
	bar_text(share, width, bar);
	progress_time(progress->total_s, total);
	if (share > 0)
		progress_time(elapsed_s / share - elapsed_s, left);
	else
		(void)snprintf(left, sizeof left, "?");
	(void)snprintf(ret, 160, "%s%3d %%  %s of %s  %.1f frames/s  %s  left %s", bar,
	               (int)(share * 100), done, total, (double)progress->frames / elapsed_s, rate,
	               left);
}
