/* SPDX-License-Identifier: Apache-2.0 */
/* Directories, device nodes and links inside the root filesystem, made by parent descriptor and
 * one component without a slash: nothing follows a link of the image (CVE-2026-41579). */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

STEP(make_directory)
{
    int fd = reach(TEXT(s, path), 1, (mode_t)s->mode);
    if (fd < 0)
        return fail_reach();
    close(fd);
    return 0;
}

/* The parent of a path, made if it is missing. */
static int reach_parent(const char *path, const char **name)
{
    int parent = open_parent(path, name);
    if (parent >= 0 || errno != ENOENT)
        return parent; /* the call that fail_reach names unless another has failed */
    char directory[4096];
    size_t length = (size_t)(*name - path) - 1;
    if (length >= sizeof directory) {
        errno = ENAMETOOLONG;
        return -1;
    }
    for (size_t i = 0; i < length; i++)
        directory[i] = path[i];
    directory[length] = 0;
    int fd = reach(directory, 1, 0755);
    if (fd < 0)
        return -1;
    close(fd);
    return open_parent(path, name);
}

static int finish_node(int parent, const char *name, const struct pr_make_node *s, int made)
{
    int done = 0;
    int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail(PR_CALL_OPEN);
    mode_t kind = (mode_t)s->kind;
    struct stat st;
    if (kind == S_IFIFO ? fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode)
                        : !is_device(fd, kind, (unsigned)s->major, (unsigned)s->minor))
        done = refuse(PR_WHY_WRONG_DEVICE, 0);
    else if (made && fchownat(fd, "", (uid_t)s->uid, (gid_t)s->gid,
                              AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
        done = fail(PR_CALL_CHOWN);
    close(fd);
    return done;
}

STEP(make_file)
{
    int fd = reach(TEXT(s, path), 0, 0644);
    if (fd < 0)
        return fail_reach();
    close(fd);
    return 0;
}

STEP(make_node)
{
    const char *name;
    int parent = reach_parent(TEXT(s, path), &name);
    if (parent < 0)
        return fail_reach();
    dev_t device = makedev((unsigned)s->major, (unsigned)s->minor);
    /* Not a chmod afterwards, which goes by name (an O_PATH descriptor takes none): what shares
     * the root filesystem could have put a link there. */
    long mask = syscall(SYS_umask, 0);
    int done = mask < 0 ? fail(PR_CALL_UMASK) : 0;
    int made = 0, error = 0;
    if (done == 0) {
        made = mknodat(parent, name, (mode_t)s->kind | ((mode_t)s->mode & 07777), device) == 0;
        error = errno;
        done = syscall(SYS_umask, mask) < 0 ? fail(PR_CALL_UMASK) : 0;
    }
    if (done == 0 && !made && error != EEXIST)
        done = fail_with(PR_CALL_MKNOD, error, 0);
    else if (done == 0) /* what is there already must be that very device (spec, devices) */
        done = finish_node(parent, name, s, made);
    close(parent);
    return done;
}

STEP(symlink)
{
    const char *name;
    struct stat st;
    int done = 0;
    int parent = reach_parent(TEXT(s, path), &name);
    if (parent < 0)
        return fail_reach();
    if (s->replace && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT)
            done = fail(PR_CALL_STAT);
    } else if (s->replace && !S_ISDIR(st.st_mode) && unlinkat(parent, name, 0) < 0) {
        done = fail(PR_CALL_UNLINK);
    }
    if (done == 0 && symlinkat(TEXT(s, target), parent, name) < 0 && errno != EEXIST)
        done = fail(PR_CALL_SYMLINK);
    close(parent);
    return done;
}

/* Host /dev/null as stdio would be a host inode inside; the container's own is as good. */
STEP(null_stdio)
{
    (void)s;
    int null = -1;
    struct stat st;
    for (int fd = 0; fd <= 2; fd++) {
        if (fstat(fd, &st) < 0 && errno != EBADF)
            return fail(PR_CALL_STAT);
        if (!is_device(fd, S_IFCHR, 1, 3))
            continue;
        if (null < 0) {
            int probe = open_in_root("/dev/null", O_PATH | O_NOFOLLOW, 0);
            if (probe < 0) /* no /dev/null inside: the host's stays, it is harmless */
                return errno == ENOENT ? 0 : fail(PR_CALL_OPENAT2);
            int right = is_device(probe, S_IFCHR, 1, 3);
            close(probe);
            if (!right)
                return refuse(PR_WHY_NOT_NULL, 0);
            null = open_in_root("/dev/null", O_RDWR | O_NOFOLLOW, 0);
            if (null < 0)
                return fail(PR_CALL_OPENAT2);
            if (!is_device(null, S_IFCHR, 1, 3))
                return refuse(PR_WHY_NOT_NULL, 0);
        }
        if (dup2(null, fd) < 0)
            return fail(PR_CALL_DUP2);
    }
    if (null >= 0)
        close(null);
    return 0;
}
