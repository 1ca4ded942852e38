/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int pyrunc_prlimit(int pid, int resource, uint64_t soft, uint64_t hard)
{
    /* The kernel's struct rlimit64; libcs differ in what they call it and the resource's type. */
    uint64_t limit[] = {soft, hard};
    return syscall(SYS_prlimit64, pid, resource, limit, NULL) < 0 ? -errno : 0;
}

int pyrunc_set_subreaper(int on)
{
    return prctl(PR_SET_CHILD_SUBREAPER, on, 0, 0, 0) < 0 ? -errno : 0;
}

int pyrunc_get_descriptor(int pidfd, int number)
{
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
    return fd < 0 ? -errno : fd;
}

/* PIDFD_GET_INFO with PIDFD_INFO_EXIT came with Linux 6.15; the headers may be older. The struct
 * grows at its end, and the kernel fills in what fits. */
struct info {
    uint64_t mask, cgroup;
    uint32_t ids[11];
    int32_t exit_code;
};
_Static_assert(sizeof(struct info) == 64, "the first version of struct pidfd_info");
enum { INFO_EXIT = 1 << 3 };
#define GET_INFO _IOWR(0xFF, 11, struct info)

/* The wait status of a process that its parent has reaped, for owners of an older pidfd of it. */
int pyrunc_exit_status(int pidfd, int *status)
{
    struct info info = {.mask = INFO_EXIT};
    if (ioctl(pidfd, GET_INFO, &info) < 0)
        return -errno;
    *status = info.exit_code;
    return info.mask & INFO_EXIT ? 0 : -ENODATA;
}

/* The CLONE_NEW* flag of a namespace's descriptor. */
int pyrunc_namespace_type(int fd)
{
    int type = ioctl(fd, NS_GET_NSTYPE);
    return type < 0 ? -errno : type;
}

/* A socket of rtnetlink(7) in another network namespace: a socket stays in the one that it was
 * made in. Only this thread goes there, and is back before it returns, so that no code of the
 * caller's ever runs there. */
int pyrunc_netlink_in(int namespace)
{
    int back = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (back < 0)
        return -errno;
    int fd = -1, error = 0;
    if (setns(namespace, CLONE_NEWNET) < 0) {
        error = errno;
    } else {
        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        error = errno;
        /* Here it was a moment ago; a thread that stayed there would act on others' devices. */
        if (setns(back, CLONE_NEWNET) < 0)
            abort();
    }
    close(back);
    return fd < 0 ? -error : fd;
}

int pyrunc_close_on_exec_from(uint32_t first)
{
    return syscall(SYS_close_range, first, ~0u, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

int pyrunc_window_size(int from, int to)
{
    struct winsize size;
    if (ioctl(from, TIOCGWINSZ, &size) < 0 || ioctl(to, TIOCSWINSZ, &size) < 0)
        return -errno;
    return 0;
}

/* posix_spawn(3) in a directory, which Python's own cannot: with `in` as standard input and `out`
 * as both outputs, in a session of its own, so that all it starts can be ended together, and with
 * no signal blocked or ignored. The pid, or -errno. */
int pyrunc_spawn_program(const char *path, char *const argv[], char *const envp[], const char *cwd,
                         int in, int out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    pid_t pid = -1;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return -error;
    error = posix_spawnattr_init(&attributes);
    if (error) {
        posix_spawn_file_actions_destroy(&actions);
        return -error;
    }
    sigemptyset(&none);
    sigfillset(&all);
    if (!(error = posix_spawn_file_actions_adddup2(&actions, in, 0)) &&
        !(error = posix_spawn_file_actions_adddup2(&actions, out, 1)) &&
        !(error = posix_spawn_file_actions_adddup2(&actions, out, 2)) &&
        !(error = posix_spawn_file_actions_addchdir_np(&actions, cwd)) &&
        !(error = posix_spawnattr_setsigmask(&attributes, &none)) &&
        !(error = posix_spawnattr_setsigdefault(&attributes, &all)) &&
        !(error = posix_spawnattr_setflags(
              &attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)))
        error = posix_spawn(&pid, path, &actions, &attributes, argv, envp);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error ? -error : pid;
}
