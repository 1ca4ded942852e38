/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roots without pivot_root(2): where the host's root is an initramfs, which cannot be pivoted
 * away from (--no-pivot), and where the container has no mount namespace. Both leave the host's
 * tree within reach of whoever may mount or chroot in there; so no container gets them by default.
 */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MNT_DETACH
#define MNT_DETACH 2
#endif

enum { LINE = PATH_MAX * 2 };

/* By the mount as well: a bind mount of the root at another place is not the root. -1 where the
 * kernel does not say. */
int is_root(int fd)
{
    struct statx a, b;
    unsigned wanted = STATX_MNT_ID | STATX_INO;
    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, wanted, &a) < 0 ||
        syscall(SYS_statx, reg(PR_REG_ROOT), "", AT_EMPTY_PATH, wanted, &b) < 0)
        return -1;
    return a.stx_mnt_id == b.stx_mnt_id && a.stx_ino == b.stx_ino;
}

STEP(open_root)
{
    int fd = open(TEXT(s, path), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(PR_CALL_OPEN);
    set_reg(PR_REG_ROOT, fd);
    return 0;
}

/* "\040" is how mountinfo writes a blank. */
static void unescape(char *text)
{
    char *to = text;
    for (; *text; text++, to++) {
        *to = *text;
        if (text[0] == '\\' && text[1] && text[2] && text[3]) {
            *to = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
            text += 3;
        }
    }
    *to = 0;
}

/* One line of mountinfo: the host's procfs and sysfs go. */
static int detach_if_kernels(char *line, const char *root)
{
    char *kind = strstr(line, " - ");
    if (!kind || (strncmp(kind, " - proc ", 8) != 0 && strncmp(kind, " - sysfs ", 9) != 0))
        return 0;
    for (int field = 0; field < 4; field++)
        if (!(line = strchr(line, ' ')) || !*++line)
            return 0;
    *strchr(line, ' ') = 0;
    unescape(line);
    size_t length = strlen(root);
    if (strncmp(line, root, length) == 0 && (line[length] == '/' || line[length] == 0))
        return 0; /* the container's own */
    /* ENOENT, EINVAL: covered, or gone with another one. */
    if (syscall(SYS_umount2, line, MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
        return fail(PR_CALL_UMOUNT);
    return 0;
}

/* Else a process that may mount could look at the host's processes through them. */
static int detach_kernels(const char *root)
{
    static char text[LINE];
    size_t have = 0;
    char name[32];
    int done = 0;
    snprintf(name, sizeof name, "%d/mountinfo", (int)getpid());
    int fd = openat(reg(PR_REG_PROCFS), name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(PR_CALL_OPEN);
    for (;;) {
        ssize_t got = read(fd, text + have, sizeof text - 1 - have);
        if (got < 0)
            done = fail(PR_CALL_READ);
        if (got <= 0 || done < 0)
            break;
        have += (size_t)got;
        text[have] = 0;
        char *line = text, *end;
        while (done == 0 && (end = strchr(line, '\n'))) {
            *end = 0;
            done = detach_if_kernels(line, root);
            line = end + 1;
        }
        have -= (size_t)(line - text);
        memmove(text, line, have);
        if (have == sizeof text - 1) /* no path is that long */
            have = 0;
    }
    close(fd);
    return done;
}

STEP(change_root)
{
    int root = reg(PR_REG_ROOT);
    if (s->move) {
        if (detach_kernels(TEXT(s, path)) < 0)
            return -1;
        if (syscall(SYS_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
            return fail(PR_CALL_MOVE_MOUNT);
    }
    if (fchdir(root) < 0)
        return fail(PR_CALL_CHDIR);
    if (chroot(".") < 0)
        return fail(PR_CALL_CHROOT);
    return chdir("/") < 0 ? fail(PR_CALL_CHDIR) : 0;
}
