/* SPDX-License-Identifier: Apache-2.0 */
/* How the program is scheduled, where its memory lies, and how the LSM labels it. */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { IOPRIO_WHO_PROCESS = 1 };

STEP(scheduler)
{
    if (syscall(SYS_sched_setattr, 0, span_bytes(s, s->attributes), 0) < 0)
        return fail(PR_CALL_SCHED_SETATTR);
    return 0;
}

/* A processor that the cpuset does not have is left out by the kernel; none at all is EINVAL. */
STEP(affinity)
{
    if (syscall(SYS_sched_setaffinity, 0, s->processors.length, span_bytes(s, s->processors)) < 0)
        return fail(PR_CALL_SCHED_SETAFFINITY);
    return 0;
}

STEP(io_priority)
{
    if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, (int)s->value) < 0)
        return fail(PR_CALL_IOPRIO_SET);
    return 0;
}

STEP(personality)
{
    return personality((unsigned long)s->domain) < 0 ? fail(PR_CALL_PERSONALITY) : 0;
}

STEP(memory_policy)
{
    /* The kernel reads one bit less than given (set_mempolicy(2), bugs). */
    unsigned long bits = s->nodes.length ? (unsigned long)s->nodes.length * 8 + 1 : 0;
    const void *mask = bits ? span_bytes(s, s->nodes) : NULL;
    if (syscall(SYS_set_mempolicy, (int)s->mode, mask, bits) < 0)
        return fail(PR_CALL_SET_MEMPOLICY);
    return 0;
}

/* Into a file of our own directory of a procfs that no image can overlay: a write that was led
 * elsewhere would leave the program without its profile (CVE-2019-16884). */
STEP(label)
{
    struct open_how how = {.flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    char path[96];
    const char *value = TEXT(s, value);
    char self[32] = "";
    /* "PID/task/TID" in the numbers of that procfs, which may be another pid namespace's. */
    if (readlinkat(reg(PR_REG_PROCFS), "thread-self", self, sizeof self - 1) < 0)
        return fail(PR_CALL_OPENAT2);
    snprintf(path, sizeof path, "%s/attr/%s", self, TEXT(s, file));
    int fd = (int)syscall(SYS_openat2, reg(PR_REG_PROCFS), path, &how, sizeof how);
    if (fd < 0 && errno == ENOENT && TEXT(s, older)) {
        snprintf(path, sizeof path, "%s/attr/%s", self, TEXT(s, older));
        fd = (int)syscall(SYS_openat2, reg(PR_REG_PROCFS), path, &how, sizeof how);
    }
    if (fd < 0)
        return fail(PR_CALL_OPENAT2);
    ssize_t length = (ssize_t)strlen(value);
    ssize_t written = write(fd, value, (size_t)length);
    int done = written == length ? 0 : fail_with(PR_CALL_WRITE, written < 0 ? errno : EIO, 0);
    close(fd);
    return done;
}
