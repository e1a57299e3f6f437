/* The kernel work of one fully confined launch, and nothing else: what no sandbox with these layers can undercut.
 *
 * No policy, no verification, no record, little error recovery: `floor PROGRAM` (an absolute path) makes the cgroups with their limits and all
 * namespaces from outside, executes itself inside them as the shim, which builds a small root, pivots, and clones the
 * workload into a user namespace of its own; the workload sets rlimits, identity, no_new_privs, Landlock and a seccomp
 * filter whose listener it hands over, and executes PROGRAM. Then everything is reaped and removed.
 *
 * Each cgroup v1 group is joined by a "0" that the child itself writes to `tasks`: writing another pid to cgroup.procs waits
 * for an RCU grace period. On a host with cgroup v2 controllers CLONE_INTO_CGROUP does all.
 * Must run as root. cc -O2 -static -o floor floor.c */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAP_HOST_ID "1000 2013265920 1\n"
#define ACCESS_READ (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_ABI_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

enum { GO_FD = 3, SOCKET_FD = 4, FILTER_LENGTH = 100, V1_GROUPS = 3 };

/* Controllers of cgroup v1 and the limit files of each; ends with the bare or full v2 hierarchy. */
static const struct {
	const char *mount;
	const char *limits[3][2];
} v1_groups[V1_GROUPS] = {
	{ "/sys/fs/cgroup/memory", { { "memory.limit_in_bytes", "268435456" } } },
	{ "/sys/fs/cgroup/cpu", { { "cpu.cfs_period_us", "20000" }, { "cpu.cfs_quota_us", "5000" } } },
	{ "/sys/fs/cgroup/pids", { { "pids.max", "64" } } },
};
static const char *const v2_limits[][2] = {
	{ "memory.max", "268435456" }, { "cpu.max", "5000 20000" }, { "pids.max", "64" },
};

static void fail(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	_exit(99);
}

static long check(long result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ssize_t done = write(fd, text, strlen(text));
	close(fd);
	return done < 0 ? -1 : 0;
}

/* ---- the groups ---- */

struct groups {
	int v1;               /* whether the v1 controllers are used */
	int tasks[V1_GROUPS]; /* `tasks` of each v1 group */
	int v2;               /* the v2 group, for CLONE_INTO_CGROUP */
	char paths[V1_GROUPS + 1][128];
};

static void make_groups(struct groups *groups)
{
	char file[256];

	groups->v1 = access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK) == 0;
	for (int i = 0; groups->v1 && i < V1_GROUPS; i++) {
		char *path = groups->paths[i];

		snprintf(path, sizeof groups->paths[i], "%s/floor-%d", v1_groups[i].mount, getpid());
		check(mkdir(path, 0755), path);
		for (int j = 0; j < 3 && v1_groups[i].limits[j][0]; j++) {
			snprintf(file, sizeof file, "%s/%s", path, v1_groups[i].limits[j][0]);
			check(write_file(file, v1_groups[i].limits[j][1]), file);
		}
		snprintf(file, sizeof file, "%s/tasks", path);
		groups->tasks[i] = check(open(file, O_WRONLY | O_CLOEXEC), file);
	}
	char *path = groups->paths[V1_GROUPS];
	const char *mount = groups->v1 ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";

	snprintf(path, sizeof groups->paths[V1_GROUPS], "%s/floor-%d", mount, getpid());
	check(mkdir(path, 0755), path);
	for (int i = 0; !groups->v1 && i < 3; i++) {
		snprintf(file, sizeof file, "%s/%s", path, v2_limits[i][0]);
		check(write_file(file, v2_limits[i][1]), file);
	}
	groups->v2 = check(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), path);
}

static void remove_groups(const struct groups *groups)
{
	for (int i = groups->v1 ? 0 : V1_GROUPS; i <= V1_GROUPS; i++)
		/* The last task may leave the group a moment after it was reaped. */
		for (int tries = 0; rmdir(groups->paths[i]) < 0 && tries < 1000; tries++)
			usleep(100);
}

/* ---- inside: the shim ---- */

static void bind_read_only(const char *source, const char *target)
{
	check(mount(source, target, NULL, MS_BIND, NULL), source);
	check(mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL), target);
}

static void make_file(const char *path)
{
	close(check(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0666), path));
}

static void build_root(const char *program)
{
	static const char *const devices[] = { "null", "zero", "full", "random", "urandom" };
	char source[32], target[32];

	check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "/");
	check(mount("root", "/mnt", "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,mode=755"), "/mnt");
	check(chdir("/mnt"), "/mnt");
	mkdir("usr", 0755);
	mkdir("etc", 0755);
	bind_read_only("/usr", "usr");
	bind_read_only("/etc", "etc");
	check(symlink("usr/lib", "lib") | symlink("usr/lib64", "lib64") | symlink("usr/bin", "bin"), "links");
	mkdir("dev", 0755);
	for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
		snprintf(source, sizeof source, "/dev/%s", devices[i]);
		snprintf(target, sizeof target, "dev/%s", devices[i]);
		make_file(target);
		check(mount(source, target, NULL, MS_BIND, NULL), source);
	}
	mkdir("proc", 0755);
	check(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "proc");
	mkdir("tmp", 01777);
	check(mount("tmp", "tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=16m"), "tmp");
	mkdir("data", 0777);
	check(mount("data", "data", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=100m"), "data");
	mkdir("ext", 0755);
	make_file("ext/program");
	bind_read_only(program, "ext/program");
	check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	check(umount2(".", MNT_DETACH), "umount");
	check(chdir("/"), "/");
	check(sethostname("sandbox", 7), "sethostname");
}

static void limit(int resource, rlim_t value)
{
	struct rlimit both = { value, value };

	check(setrlimit(resource, &both), "setrlimit");
}

static void apply_landlock(void)
{
	static const struct {
		const char *path;
		uint64_t access;
	} rules[] = {
		{ "/usr", ACCESS_READ }, { "/etc", ACCESS_READ }, { "/ext", ACCESS_READ }, { "/dev", ACCESS_ABI_1 },
		{ "/proc", ACCESS_READ }, { "/tmp", ACCESS_ABI_1 }, { "/data", ACCESS_ABI_1 },
	};
	struct landlock_ruleset_attr all = { .handled_access_fs = ACCESS_ABI_1 };
	int ruleset = check(syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0), "landlock_create_ruleset");

	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		struct landlock_path_beneath_attr rule = {
			.allowed_access = rules[i].access,
			.parent_fd = check(open(rules[i].path, O_PATH | O_CLOEXEC), rules[i].path),
		};
		check(syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0), rules[i].path);
		close(rule.parent_fd);
	}
	check(syscall(SYS_landlock_restrict_self, ruleset, 0), "landlock_restrict_self");
	close(ruleset);
}

/* A filter of a realistic length; returns its listener. It denies nothing that this program or the workload does. */
static int apply_seccomp(void)
{
	struct sock_filter filter[FILTER_LENGTH + 3];
	int i = 0;

	filter[i++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (; i < FILTER_LENGTH; i++)
		filter[i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 100000 + i, 0, 0);
	filter[i++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mount, 0, 1);
	filter[i++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	filter[i++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { i, filter };

	return check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program), "seccomp");
}

/* Send a descriptor over the socket and wait for the answer. */
static void hand_over(int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof fd)] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	check(sendmsg(SOCKET_FD, &message, 0), "sendmsg");
	check(read(SOCKET_FD, &byte, 1), "acknowledgement");
}

static void workload(int mapped)
{
	char byte;
	char *argv[] = { "program", NULL };
	char *environment[] = { "PATH=/usr/bin:/bin", NULL };

	check(read(mapped, &byte, 1), "id maps");
	limit(RLIMIT_NPROC, 64);
	limit(RLIMIT_NOFILE, 256);
	limit(RLIMIT_CORE, 0);
	check(setsid(), "setsid");
	check(setresgid(1000, 1000, 1000), "setresgid");
	check(setresuid(1000, 1000, 1000), "setresuid");
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	apply_landlock();
	hand_over(apply_seccomp());
	check(syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC), "close_range");
	execve("/ext/program", argv, environment);
	fail("execve");
}

static void map_ids(pid_t pid, int mapped)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
	check(write_file(path, MAP_HOST_ID), path);
	snprintf(path, sizeof path, "/proc/%d/setgroups", pid);
	check(write_file(path, "deny"), path);
	snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
	check(write_file(path, MAP_HOST_ID), path);
	check(write(mapped, "x", 1), "id maps");
}

static int shim(const char *program)
{
	struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	int mapped[2], status;
	char byte;

	check(read(GO_FD, &byte, 1), "release");
	build_root(program);
	check(pipe2(mapped, O_CLOEXEC), "pipe");
	pid_t pid = check(syscall(SYS_clone3, &args, sizeof args), "clone3 of the workload");

	if (pid == 0)
		workload(mapped[0]);
	map_ids(pid, mapped[1]);
	while (waitpid(-1, &status, 0) != pid)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

/* ---- outside: the supervisor ---- */

/* In the new namespaces: join the groups, then become the shim. */
static void enter(const struct groups *groups, int go, int socket, const char *program)
{
	char *argv[] = { "shim", (char *)program, NULL };
	char *environment[] = { NULL };
	int self = check(open("/proc/self/exe", O_PATH | O_CLOEXEC), "/proc/self/exe");

	for (int i = 0; groups->v1 && i < V1_GROUPS; i++)
		check(write(groups->tasks[i], "0", 1), groups->paths[i]);
	/* First out of the way, for the fixed numbers may be in use. */
	int high_go = fcntl(go, F_DUPFD_CLOEXEC, 32), high_socket = fcntl(socket, F_DUPFD_CLOEXEC, 32);
	self = fcntl(self, F_DUPFD_CLOEXEC, 32);
	check(dup2(high_go, GO_FD), "dup2");
	check(dup2(high_socket, SOCKET_FD), "dup2");
	syscall(SYS_execveat, self, "", argv, environment, AT_EMPTY_PATH);
	fail("execveat");
}

/* Receive the listener and acknowledge it; -1 where the other side failed and said so. */
static int receive_listener(int socket)
{
	int fd = -1;
	char byte, control[CMSG_SPACE(sizeof fd)];
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	if (send(socket, "x", 1, MSG_NOSIGNAL) < 0)
		return -1;
	return fd;
}

int main(int argc, char **argv)
{
	struct groups groups;
	int go[2], sockets[2], pidfd = -1, status;

	if (argc < 2)
		return 2;
	if (strcmp(argv[0], "shim") == 0)
		return shim(argv[1]);
	make_groups(&groups);
	check(pipe2(go, O_CLOEXEC), "pipe");
	check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), "socketpair");
	struct clone_args args = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
			 CLONE_PIDFD | CLONE_INTO_CGROUP,
		.pidfd = (uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = groups.v2,
	};
	pid_t pid = check(syscall(SYS_clone3, &args, sizeof args), "clone3 of the shim");

	if (pid == 0)
		enter(&groups, go[0], sockets[1], argv[1]);
	close(sockets[1]);
	check(write(go[1], "x", 1), "release");
	int listener = receive_listener(sockets[0]);
	struct pollfd ends = { pidfd, POLLIN, 0 };

	check(poll(&ends, 1, -1), "poll");
	check(waitpid(pid, &status, 0), "waitpid");
	if (listener >= 0)
		close(listener);
	remove_groups(&groups);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}
