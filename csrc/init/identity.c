/* SPDX-License-Identifier: Apache-2.0 */
/* Who the container's process is, and what it may do. */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Through a procfs of our own, which no mount of the image can overlay (CVE-2025-52881). */
STEP(sysctl)
{
    struct open_how how = {.flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    const char *value = TEXT(s, value);
    int fd = (int)syscall(SYS_openat2, reg(PR_REG_PROCFS), TEXT(s, path), &how, sizeof how);
    if (fd < 0)
        return fail(PR_CALL_OPENAT2);
    ssize_t length = (ssize_t)strlen(value);
    int done = 0;
    errno = EIO; /* for a short write, which sets none */
    if (write(fd, value, (size_t)length) != length)
        done = fail(PR_CALL_WRITE);
    close(fd);
    return done;
}

STEP(umask)
{
    return syscall(SYS_umask, (mode_t)s->mask) < 0 ? fail(PR_CALL_UMASK) : 0;
}

STEP(no_new_privileges)
{
    (void)s;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? fail(PR_CALL_PRCTL) : 0;
}

STEP(seccomp)
{
    struct sock_fprog program = {
        .len = (unsigned short)(s->program.length / sizeof(struct sock_filter)),
        .filter = (struct sock_filter *)(uintptr_t)span_bytes(s, s->program)};
    int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, (unsigned)s->flags, &program);
    if (fd < 0)
        return fail(PR_CALL_SECCOMP);
    if (s->listener == PR_LISTENER_NONE)
        return 0;
    /* Its number is enough for a privileged parent, which takes the descriptor out of this
     * process: so that neither sendmsg nor anything else but write has to pass the filter. */
    if (send_message(PR_MSG_LISTENER, fd, s->listener == PR_LISTENER_SENT ? fd : -1) < 0)
        return fail(PR_CALL_SENDMSG);
    if (await_go() < 0)
        return -1;
    close(fd); /* only the agent holds it: if it dies, calls fail and do not wait for ever */
    return 0;
}

/* Whether the kernel would let us: CAP_SETPCAP is effective. 1 also where that is unknown. */
static int may_drop(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0)
        return 1;
    return data[0].effective >> CAP_SETPCAP & 1;
}

/*
 * A set-user-ID program has what is left in here, so an errno is not taken for a reason: a filter
 * that is in force can answer with any. That this kernel does not know a capability is known from
 * before. Without CAP_SETPCAP there is nothing to drop it with, as with runc.
 */
STEP(drop_bounding)
{
    for (int cap = 0; cap <= init.last_capability; cap++) {
        if (s->keep >> cap & 1 || prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
            continue;
        int error = errno;
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 0)
            continue;
        if (error == EPERM && !may_drop())
            return 0;
        return fail_with(PR_CALL_PRCTL, error, 0);
    }
    return 0;
}

static int changes_owner(const struct pr_chown_stdio *s, int fd, mode_t mode)
{
    if (S_ISREG(mode))
        return s->files >> fd & 1 && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
    return s->streams >> fd & 1 && (S_ISFIFO(mode) || S_ISSOCK(mode) || isatty(fd));
}

STEP(chown_stdio)
{
    struct stat st;
    for (int fd = 0; fd <= 2; fd++) {
        if (fstat(fd, &st) < 0)
            return errno == EBADF ? 0 : fail(PR_CALL_STAT);
        if (st.st_uid == (uid_t)s->uid || !changes_owner(s, fd, st.st_mode))
            continue;
        /* EINVAL: the owner is not mapped in this user namespace. */
        if (fchown(fd, (uid_t)s->uid, (gid_t)-1) < 0 && errno != EPERM && errno != EROFS &&
            errno != EINVAL)
            return fail(PR_CALL_CHOWN);
    }
    return 0;
}

/*
 * The working directory is changed to as the runtime's user, so that a directory which only root
 * can reach works, and again as the container's user where that was refused. What getcwd then
 * says must be a path from the root: "(unreachable)" is a directory of the host that a leaked
 * descriptor led to (CVE-2024-21626). It is queried once, the first time before any filter.
 */
STEP(change_directory)
{
    static int done;
    char where[PATH_MAX];
    if (done)
        return 0;
    if (chdir(TEXT(s, path)) < 0) {
        if (s->final || (errno != EACCES && errno != EPERM))
            return fail(PR_CALL_CHDIR);
        return 0;
    }
    done = 1;
    if (syscall(SYS_getcwd, where, sizeof where) < 0)
        return errno == ENOENT ? refuse(PR_WHY_CWD_OUTSIDE, 0) : fail(PR_CALL_GETCWD);
    return where[0] == '/' ? 0 : refuse(PR_WHY_CWD_OUTSIDE, 0);
}

/* Whether the ids are those requested. A filter that is in force answers setresuid(2) with 0 if
 * that is its errno, as profiles do that feign root; one that denies to ask proves nothing. */
static int has_ids(uint32_t uid, uint32_t gid)
{
    uid_t u[3] = {~uid, ~uid, ~uid};
    gid_t g[3] = {~gid, ~gid, ~gid};
    if (syscall(SYS_getresuid, &u[0], &u[1], &u[2]) == 0 &&
        (u[0] != uid || u[1] != uid || u[2] != uid))
        return 0;
    return syscall(SYS_getresgid, &g[0], &g[1], &g[2]) < 0 ||
           (g[0] == gid && g[1] == gid && g[2] == gid);
}

/* PR_SET_KEEPCAPS carries the permitted set over setuid, so that SetCapabilities can choose from
 * it. Raw system calls: this process has one thread, and libc's wrappers are for many. */
STEP(set_ids)
{
    const void *groups = span_bytes(s, s->groups);
    size_t count = s->groups.length / sizeof(gid_t);
    /* -1 would leave root as it is; what checks a configuration has refused it before. */
    if (s->uid >= UINT32_MAX || s->gid >= UINT32_MAX)
        return fail_with(PR_CALL_SETRESUID, EINVAL, 0);
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return fail(PR_CALL_PRCTL);
    if (s->setgroups) {
        if (syscall(SYS_setgroups, count, groups) < 0)
            return fail(PR_CALL_SETGROUPS);
        long found = syscall(SYS_getgroups, 0, NULL);
        if (found >= 0 && (size_t)found != count)
            return fail_with(PR_CALL_SETGROUPS, EPERM, 0);
    }
    if (syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0)
        return fail(PR_CALL_SETRESGID);
    if (syscall(SYS_setresuid, s->uid, s->uid, s->uid) < 0)
        return fail(PR_CALL_SETRESUID);
    return has_ids((uint32_t)s->uid, (uint32_t)s->gid) ? 0 : fail_with(PR_CALL_SETRESUID, EPERM, 0);
}

STEP(set_capabilities)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2], seen[2] = {{.effective = ~0U}};
    uint64_t known = (2ULL << init.last_capability) - 1; /* the kernel keeps no others */
    for (int i = 0; i < 2; i++) {
        data[i].effective = (uint32_t)((s->effective & known) >> (32 * i));
        data[i].permitted = (uint32_t)((s->permitted & known) >> (32 * i));
        data[i].inheritable = (uint32_t)((s->inheritable & known) >> (32 * i));
    }
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
        return fail(PR_CALL_PRCTL);
    if (syscall(SYS_capset, &header, data) < 0)
        return fail(PR_CALL_CAPSET);
    /* As with ids, a filter can answer 0 and do nothing. */
    if (syscall(SYS_capget, &header, seen) == 0 && memcmp(seen, data, sizeof data) != 0)
        return fail_with(PR_CALL_CAPSET, EPERM, 0);
    return 0;
}

/* What is not both permitted and inheritable is not in the mask, so that an error is one. */
STEP(ambient_capabilities)
{
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return fail(PR_CALL_PRCTL);
    for (int cap = 0; cap <= init.last_capability; cap++) {
        if (!(s->mask >> cap & 1) || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) == 0)
            continue;
        int error = errno, bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
        if (error == EPERM && bits >= 0 && (bits & SECBIT_NO_CAP_AMBIENT_RAISE))
            return 0; /* whoever started us has forbidden it to all */
        return fail_with(PR_CALL_PRCTL, error, 0);
    }
    return 0;
}
