/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lookups inside the root filesystem. An image is hostile: every component may be a symbolic
 * link, and may change while we look. So the kernel resolves, confined to the root (openat2,
 * RESOLVE_IN_ROOT), and what it opened is what is used; nothing is looked up twice.
 */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* What failed in `reach`, which does more than look. */
static enum pr_call failed = PR_CALL_OPENAT2;

enum { MAX_LINKS = 40, MAX_RACES = 1000 };

/* EAGAIN: a rename raced with the walk of "..", and the kernel could not vouch for the result. */
int open_in(int base, const char *path, uint64_t flags, uint64_t resolve)
{
    struct open_how how = {.flags = flags | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve};
    long fd = -1;
    for (int i = 0; i < MAX_RACES; i++) {
        fd = syscall(SYS_openat2, base, path, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return (int)fd;
}

int open_in_root(const char *path, uint64_t flags, uint64_t resolve)
{
    return open_in(reg(PR_REG_ROOT), path, flags, resolve);
}

/* The directory that holds the last component of an absolute path; `name` is that component. */
int open_parent(const char *path, const char **name)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    if (!slash || length >= sizeof directory) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(directory, path, length);
    directory[length] = 0;
    *name = slash + 1;
    return open_in_root(length ? directory : "/", O_PATH | O_DIRECTORY, 0);
}

/* Replace the dangling link at work[0..at) by what it points to, keeping the rest of the path. */
static int follow_dangling(char *work, size_t at, int parent, const char *name)
{
    char link[PATH_MAX], joined[PATH_MAX];
    ssize_t n = readlinkat(parent, name, link, sizeof link - 1);
    if (n < 0)
        return errno == EINVAL ? 0 : -1; /* not a link: somebody made it just now */
    link[n] = 0;
    size_t kept = link[0] == '/' ? 0 : at - strlen(name);
    size_t rest = strlen(work + at);
    if (kept + (size_t)n + rest >= sizeof joined) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(joined, work, kept);
    memcpy(joined + kept, link, (size_t)n);
    memcpy(joined + kept + (size_t)n, work + at, rest + 1);
    memcpy(work, joined, kept + (size_t)n + rest + 1);
    return 1;
}

/* Create the component that ends at work[at]. Returns 0 made or there, 1 the path has changed. */
static int make_component(char *work, size_t at, int directory, mode_t mode)
{
    char rest = work[at];
    const char *name;
    work[at] = 0;
    int parent = open_parent(work, &name);
    int made = -1;
    if (parent >= 0) {
        if (rest || directory) {
            made = mkdirat(parent, name, rest ? 0755 : mode);
            failed = PR_CALL_MKDIR;
        } else {
            failed = PR_CALL_OPEN;
            made = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0644);
            if (made >= 0)
                made = close(made);
        }
        if (made < 0 && errno == EEXIST) {
            char copy[NAME_MAX + 1];
            strncpy(copy, name, sizeof copy - 1);
            copy[sizeof copy - 1] = 0;
            work[at] = rest;
            made = follow_dangling(work, at, parent, copy);
        }
        int saved = errno;
        close(parent);
        errno = saved;
    }
    if (made <= 0)
        work[at] = rest;
    return made;
}

/*
 * Open `path` inside the root, O_PATH, creating what is missing: directories, and for the last
 * component an empty file unless `directory`. A link that points nowhere is followed inside the
 * root and its target created, as every engine's images expect (/var/run -> /run).
 */
int reach(const char *path, int directory, mode_t mode)
{
    failed = PR_CALL_OPENAT2;
    int fd = open_in_root(path, O_PATH, 0);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    char work[PATH_MAX];
    if (strlen(path) >= sizeof work) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(work, path);
    int links = 0;
    for (size_t at = 1; work[at - 1]; at++) {
        if (work[at] != '/' && work[at] != 0)
            continue;
        char rest = work[at];
        work[at] = 0;
        fd = open_in_root(work, O_PATH, 0);
        work[at] = rest;
        failed = PR_CALL_OPENAT2;
        if (fd >= 0) {
            close(fd);
            continue;
        }
        if (errno != ENOENT)
            return -1;
        int made = make_component(work, at, directory, mode);
        if (made < 0)
            return -1;
        if (made > 0 && ++links > MAX_LINKS) {
            errno = ELOOP;
            return -1;
        }
        if (made > 0)
            at = 0;
    }
    failed = PR_CALL_OPENAT2;
    return open_in_root(work, O_PATH, 0);
}

int fail_reach(void)
{
    return fail(failed);
}

/* 1, 0, or -1 where the kernel does not say: never "another file". */
int same_file(int a, int b)
{
    struct stat sa, sb;
    if (fstat(a, &sa) < 0 || fstat(b, &sb) < 0)
        return -1;
    return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* The type is checked first: st_rdev of anything but a device means nothing (crun 88265). */
int is_device(int fd, mode_t kind, unsigned major, unsigned minor)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || (st.st_mode & S_IFMT) != kind)
        return 0;
    return st.st_rdev == makedev(major, minor);
}

/* Whether it is on a filesystem of that kind; -1 where the kernel does not say. */
int is_on(int fd, uint64_t magic)
{
    struct statfs fs;
    return fstatfs(fd, &fs) < 0 ? -1 : (uint64_t)fs.f_type == magic;
}
