/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tmpfs hides is copied up into it (the mount option tmpcopyup). Entry by entry through
 * directory descriptors and without following links: the tree is the image's, and may change
 * meanwhile.
 */
#define _GNU_SOURCE
#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DEPTH = 64, CHUNK = 65536, ENTRIES = 4096 };

/* As getdents64(2) gives it. */
struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

static int copy_tree(int from, int to, int depth);

/* Owner before mode: chown clears the set-id bits. By descriptor, or by name for what cannot be
 * opened without an effect. */
static int copy_owner(int to, const char *name, const struct stat *st)
{
    if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return fail(PR_CALL_CHOWN);
    if (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0)
        return fail(PR_CALL_CHMOD);
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    utimensat(to, name, times, AT_SYMLINK_NOFOLLOW);
    return 0;
}

static int copy_data(int from, int to)
{
    static char chunk[CHUNK];
    for (;;) {
        ssize_t got = read(from, chunk, sizeof chunk);
        if (got == 0)
            return 0;
        if (got < 0)
            return fail(PR_CALL_READ);
        for (ssize_t done = 0, n; done < got; done += n)
            if ((n = write(to, chunk + done, (size_t)(got - done))) < 0)
                return fail(PR_CALL_WRITE);
    }
}

static int copy_file(int from, int to, const char *name, struct stat *st)
{
    /* What was a regular file when it was looked at may be a fifo now. */
    int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (in < 0)
        return fail(PR_CALL_OPEN);
    int out = -1, done = -1;
    if (fstat(in, st) < 0)
        fail(PR_CALL_STAT);
    else if (!S_ISREG(st->st_mode))
        fail_with(PR_CALL_OPEN, EINVAL, 0);
    else if ((out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) <
             0)
        fail(PR_CALL_OPEN);
    else
        done = copy_data(in, out);
    close(in);
    if (out >= 0)
        close(out);
    return done;
}

static int copy_link(int from, int to, const char *name)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(from, name, target, sizeof target - 1);
    if (length < 0)
        return fail(PR_CALL_READ);
    target[length] = 0;
    return symlinkat(target, to, name) < 0 ? fail(PR_CALL_SYMLINK) : 0;
}

static int copy_directory(int from, int to, const char *name, int depth)
{
    int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (in < 0)
        return fail(PR_CALL_OPEN);
    int out = -1, done = -1;
    if (mkdirat(to, name, 0700) < 0)
        fail(PR_CALL_MKDIR);
    else if ((out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        fail(PR_CALL_OPEN);
    else
        done = copy_tree(in, out, depth - 1);
    close(in);
    if (out >= 0)
        close(out);
    return done;
}

static int copy_entry(int from, int to, const char *name, int depth)
{
    struct stat st;
    int done;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : fail(PR_CALL_STAT);
    if (S_ISDIR(st.st_mode))
        done = copy_directory(from, to, name, depth);
    else if (S_ISREG(st.st_mode))
        done = copy_file(from, to, name, &st);
    else if (S_ISLNK(st.st_mode))
        done = copy_link(from, to, name);
    else
        done = mknodat(to, name, st.st_mode, st.st_rdev) < 0 ? fail(PR_CALL_MKNOD) : 0;
    return done < 0 ? -1 : copy_owner(to, name, &st);
}

static int copy_tree(int from, int to, int depth)
{
    union {
        char bytes[ENTRIES];
        struct entry first;
    } buffer;
    if (depth == 0) {
        errno = ELOOP;
        return fail(PR_CALL_READ);
    }
    for (;;) {
        long got = syscall(SYS_getdents64, from, &buffer, sizeof buffer);
        if (got <= 0)
            return got == 0 ? 0 : fail(PR_CALL_READ);
        for (long at = 0; at < got;) {
            const struct entry *entry = (const void *)(buffer.bytes + at);
            at += entry->length;
            if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
                continue;
            if (copy_entry(from, to, entry->name, depth) < 0)
                return -1;
        }
    }
}

/* The filesystem is still attached nowhere: what fails leaves nothing in the container. */
STEP(copy_up)
{
    struct stat st;
    int from = open_in_root(TEXT(s, path), O_RDONLY | O_DIRECTORY, 0);
    if (from < 0) /* nothing there, so nothing to copy */
        return errno == ENOENT ? 0 : fail(PR_CALL_OPENAT2);
    int to = openat(reg(s->mount), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), done = -1;
    if (to < 0)
        fail(PR_CALL_OPEN);
    else if (copy_tree(from, to, DEPTH) == 0)
        done = fstat(from, &st) < 0 ? fail(PR_CALL_STAT) : 0;
    if (done == 0 && fchown(to, st.st_uid, st.st_gid) < 0)
        done = fail(PR_CALL_CHOWN);
    if (done == 0 && s->mode && fchmod(to, st.st_mode & 07777) < 0)
        done = fail(PR_CALL_CHMOD);
    if (to >= 0)
        close(to);
    close(from);
    return done;
}
