#include "common/sandbox.h"

#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_feature) /* clang's way to say it; gcc's is the other */
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* Later than Debian 12's headers: Linux 6.2. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define WRITES                                                                                     \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                           \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |                           \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                               \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |                             \
	 LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static enum err failed(char why[256], const char *what, int error)
{
	(void)snprintf(why, 256, "%.150s: %s", what, strerror(error));
	return ERR_IO;
}

/* ---- files: Landlock ---- */

int sandbox_landlock(void)
{
	long version =
	        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return version < 0 ? 0 : (int)version;
}

static uint64_t writes_of(int version)
{
	uint64_t writes = WRITES;

	if (version >= 2)
		writes |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		writes |= LANDLOCK_ACCESS_FS_TRUNCATE;
	return writes;
}

static enum err allow(int rules, const char *directory, uint64_t writes, char why[256])
{
	struct landlock_path_beneath_attr beneath = { .allowed_access = writes };
	long result;

	beneath.parent_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (beneath.parent_fd < 0)
		return failed(why, directory, errno);
	result = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
	(void)close(beneath.parent_fd);
	return result == 0 ? OK : failed(why, directory, errno);
}

static enum err confine_files(const char *const writable[], size_t n, int version, char why[256])
{
	uint64_t writes = writes_of(version);
	struct landlock_ruleset_attr attr = { .handled_access_fs = writes };
	enum err err = OK;
	int rules;

	if (!SANITIZED)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_EXECUTE;
	rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
	if (rules < 0)
		return failed(why, "landlock_create_ruleset", errno);
	for (size_t i = 0; i < n && err == OK; i++)
		err = allow(rules, writable[i], writes, why);
	if (err == OK && syscall(SYS_landlock_restrict_self, rules, 0) != 0)
		err = failed(why, "landlock_restrict_self", errno);
	(void)close(rules);
	return err;
}

/* ---- calls: seccomp ---- */

static const char *const refused[] = {
	"execve",
	"execveat",
	"ptrace", /* SANITIZED_CALLS: these three */
	"process_vm_readv",
	"process_vm_writev",
	"kcmp",
	"pidfd_getfd",
	"mount",
	"umount2",
	"pivot_root",
	"chroot",
	"move_mount",
	"open_tree",
	"fsopen",
	"fsmount",
	"fsconfig",
	"fspick",
	"mount_setattr",
	"swapon",
	"swapoff",
	"setns",
	"unshare",
	"bpf",
	"perf_event_open",
	"userfaultfd",
	"init_module",
	"finit_module",
	"delete_module",
	"kexec_load",
	"kexec_file_load",
	"keyctl",
	"add_key",
	"request_key",
	"open_by_handle_at",
	"acct",
	"quotactl",
	"syslog",
	"reboot",
	"settimeofday",
	"clock_settime",
	"clock_adjtime",
	"adjtimex",
	"stime",
	"sethostname",
	"setdomainname",
	"iopl",
	"ioperm",
	"vhangup",
	"nfsservctl",
	"personality",
	"setuid",
	"setgid",
	"setreuid",
	"setregid",
	"setresuid",
	"setresgid",
	"setgroups",
	"capset",
};
#define SANITIZED_CALLS 3

static enum err refuse_calls(int *ret_n, char why[256])
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int result = filter ? 0 : -ENOMEM;

	*ret_n = 0;
	for (size_t i = SANITIZED ? SANITIZED_CALLS : 0; i < ARRAY_LEN(refused) && result == 0;
	     i++) {
		int call = seccomp_syscall_resolve_name(refused[i]);

		if (call == __NR_SCMP_ERROR)
			continue; /* unknown to this library, so older than the call */
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
		*ret_n += result == 0;
	}
	if (result == 0)
		result = seccomp_load(filter);
	seccomp_release(filter);
	return result == 0 ? OK : failed(why, "seccomp", -result);
}

/* ---- privileges ---- */

static enum err drop_capabilities(char why[256])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	uint32_t kept = CAP_TO_MASK(CAP_DAC_OVERRIDE);

	if (SANITIZED)
		kept |= CAP_TO_MASK(CAP_SYS_PTRACE);
	if (syscall(SYS_capget, &header, data) != 0)
		return failed(why, "capget", errno);
	for (size_t i = 0; i < ARRAY_LEN(data); i++) {
		data[i].permitted &= i == 0 ? kept : 0;
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) == 0 ? OK : failed(why, "capset", errno);
}

enum err sandbox_enter(const char *const writable[], size_t n, struct sandbox *ret, char why[256])
{
	int version = sandbox_landlock();
	enum err err;

	*ret = (struct sandbox){ .landlock = version };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return failed(why, "no_new_privs", errno);
	err = version > 0 ? confine_files(writable, n, version, why) : OK;
	if (err == OK)
		err = drop_capabilities(why);
	if (err == OK)
		err = refuse_calls(&ret->seccomp, why);
	return err;
}
