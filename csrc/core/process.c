/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

#include "process.h"

#include <errno.h>
#include <linux/close_range.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

int pyrunc_prlimit(int pid, int resource, uint64_t soft, uint64_t hard)
{
    struct rlimit64 limit = {.rlim_cur = soft, .rlim_max = hard};
    return prlimit64(pid, (enum __rlimit_resource)resource, &limit, NULL) < 0 ? -errno : 0;
}

int pyrunc_set_subreaper(int on)
{
    return prctl(PR_SET_CHILD_SUBREAPER, on, 0, 0, 0) < 0 ? -errno : 0;
}

/* The CLONE_NEW* flag of the namespace behind a descriptor. */
int pyrunc_namespace_type(int fd)
{
    int type = ioctl(fd, NS_GET_NSTYPE);
    return type < 0 ? -errno : type;
}

long pyrunc_fs_magic(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) < 0 ? -errno : (long)fs.f_type;
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
