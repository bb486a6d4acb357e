/* doctor.h: the machine and the directory. */
#include "common/clock.h"
#include "common/sandbox.h"
#include "services/cli/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FILES_WANTED 4096
#define FREE_WANTED  (1024 * 1024 * 1024ull) /* bytes; a thousand watches fill it in an hour */
#define DAY_MS       (24 * 3600 * 1000ll)

static void check_programs(struct doctor *doctor)
{
	static const char *const names[] = { "raeh-auth", "raeh-router", "raeh-publisher",
		                             "raeh-edge" };
	AUTO_MEM char *directory = cli_own_directory();

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_MEM char *path = xasprintf("%s/%s", directory ? directory : ".", names[i]);

		if (access(path, X_OK) == 0)
			continue;
		doctor_add(doctor, "programs", "build them all: make", "%s: %s", path,
		           strerror(errno));
		return;
	}
	doctor_add(doctor, "programs", NULL, "all in %s", directory ? directory : ".");
}

static void check_files(struct doctor *doctor)
{
	struct rlimit limit = { 0 };
	const char *advice = "raise it: ulimit -Hn 65536, or LimitNOFILE= of the service";

	(void)getrlimit(RLIMIT_NOFILE, &limit); /* 0 is low enough to be said */
	if (limit.rlim_max >= FILES_WANTED)
		advice = NULL;
	doctor_add(doctor, "descriptors", advice,
	           "a process may open %" PRIu64 " files and sockets", (uint64_t)limit.rlim_max);
}

/* Services run without it where the kernel has none, so that is no fault. */
static void check_sandbox(struct doctor *doctor)
{
	int version = sandbox_landlock();

	if (version > 0)
		doctor_add(doctor, "sandbox", NULL,
		           "services write in their own directories only (Landlock %d)", version);
	else
		doctor_add(
		        doctor, "sandbox", NULL,
		        "this kernel has no Landlock: a service may write wherever its user may");
}

/* The programs cannot have been made in the future. */
static void check_clock(struct doctor *doctor)
{
	int64_t now = clock_wall_ms();
	char text[25];
	struct stat st;
	const char *advice = NULL;

	clock_iso8601(now, text);
	if (stat("/proc/self/exe", &st) == 0 && now < (int64_t)st.st_mtime * 1000 - DAY_MS)
		advice = "set the clock (timedatectl): every id and time would be wrong";
	doctor_add(doctor, "clock", advice, "%s%s", text,
	           advice ? ", before this program was built" : "");
}

void doctor_host(struct doctor *doctor)
{
	check_programs(doctor);
	check_files(doctor);
	check_clock(doctor);
	check_sandbox(doctor);
}

/* ---- the directory ---- */

static bool is_private(const char *path, mode_t kind, char found[256])
{
	struct stat st;

	if (lstat(path, &st) != 0)
		(void)snprintf(found, 256, "%.200s: %s", path, strerror(errno));
	else if ((st.st_mode & S_IFMT) != kind)
		(void)snprintf(found, 256, "%.200s: not a %s", path,
		               kind == S_IFDIR ? "directory" : "file");
	else if (st.st_uid != geteuid())
		(void)snprintf(found, 256, "%.200s: belongs to user %d, not to %d", path,
		               (int)st.st_uid, (int)geteuid());
	else if (st.st_mode & 077)
		(void)snprintf(found, 256, "%.200s: others may enter or read it (mode %03o)", path,
		               (unsigned)(st.st_mode & 0777));
	else
		return true;
	return false;
}

static void check_directories(struct doctor *doctor)
{
	static const char *const names[] = { "", "/run", "/secret" };
	char found[256];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_MEM char *path = xasprintf("%s%s", doctor->settings.data, names[i]);

		if (is_private(path, S_IFDIR, found))
			continue;
		doctor_add(doctor, "directory",
		           "give it to the stack's user alone: chown, chmod 0700; `raeh up` makes "
		           "what "
		           "is missing",
		           "%s", found);
		return;
	}
	doctor_add(doctor, "directory", NULL, "%s is ours alone", doctor->settings.data);
}

static void check_secrets(struct doctor *doctor)
{
	AUTO_MEM char *path = xasprintf("%s/secret", doctor->settings.data);
	DIR *directory = opendir(path);
	const struct dirent *entry;
	char found[256];
	int n = 0;

	if (!directory)
		return; /* said above */
	while ((entry = readdir(directory)) != NULL) {
		AUTO_MEM char *file = xasprintf("%s/%s", path, entry->d_name);

		if (entry->d_name[0] == '.')
			continue;
		n++;
		if (is_private(file, S_IFREG, found))
			continue;
		doctor_add(doctor, "secrets",
		           "chmod 0600; whoever read it can forge principals: consider "
		           "a new installation",
		           "%s", found);
		(void)closedir(directory);
		return;
	}
	(void)closedir(directory);
	doctor_add(doctor, "secrets", NULL, "%d files, readable by us alone", n);
}

static void check_space(struct doctor *doctor)
{
	struct statvfs fs;
	uint64_t left;

	if (statvfs(doctor->settings.data, &fs) != 0)
		return; /* there is no directory, and that has been said */
	left = (uint64_t)fs.f_bavail * fs.f_frsize;
	doctor_add(doctor, "disk",
	           left < FREE_WANTED
	                   ? "free some: a full disk makes devices wait with their frames"
	                   : NULL,
	           "%.1f GB free", (double)left / 1e9);
}

void doctor_data(struct doctor *doctor)
{
	check_directories(doctor);
	check_secrets(doctor);
	check_space(doctor);
}
