/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filesystems with values that fsconfig(2) does not take, being longer than 255 bytes. mount(2)
 * wants a path to mount on. It gets the descriptor that was checked, by the procfs of our own,
 * which no image can lay anything over (CVE-2025-52881); and what it has mounted is cloned from
 * there and taken away again, so that all goes on as with any other mount.
 */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MNT_DETACH
#define MNT_DETACH 2
#endif

enum { PAGE = 4096 };

static const char layer[] = "lowerdir+=";

/* Whether it is this kernel that knows no single layers. */
static int knows_no_layers(char **options)
{
    int at = init.report.value;
    return init.report.call == PR_CALL_FSCONFIG && init.report.err == EINVAL && at >= 0 &&
           strncmp(options[at], layer, sizeof layer - 1) == 0;
}

/* The working directory is ours to change: the pivot sets it, and so does each hook. */
static int place_of(int fd, char *place, size_t size)
{
    snprintf(place, size, "self/fd/%d", fd);
    return fchdir(reg(PR_REG_PROCFS)) < 0 ? fail(PR_CALL_CHDIR) : 0;
}

static int clone_and_unmount(const struct pr_long_filesystem *s, int below)
{
    char place[32];
    int top = open_in_root(TEXT(s, target), O_PATH | O_DIRECTORY, 0), tree = -1;
    if (top < 0)
        return fail(PR_CALL_OPENAT2);
    if (same_file(top, below) != 0) /* another place already, not what was mounted */
        refuse(PR_WHY_ON_ROOTFS, 0);
    else if ((tree = clone_tree(top, 0)) < 0)
        fail(PR_CALL_OPEN_TREE);
    else if (place_of(top, place, sizeof place) < 0 ||
             (syscall(SYS_umount2, place, MNT_DETACH) < 0 && fail(PR_CALL_UMOUNT) < 0)) {
        close(tree);
        tree = -1;
    }
    close(top);
    return tree;
}

/* As configure_mode: a tmpfs has the mode of what it covers, unless its options say otherwise. What
 * is longer than a page mount(2) would cut in silence. */
static int data_for(const struct pr_long_filesystem *s, char *data, size_t size)
{
    const char *given = s->data.offset ? TEXT(s, data) : "";
    char mode[16] = "";
    struct stat st;
    int said = strncmp(given, "mode=", 5) == 0 || strstr(given, ",mode=");
    if (strcmp(TEXT(s, fstype), "tmpfs") == 0 && !said) {
        int fd = open_in_root(TEXT(s, target), O_PATH | O_DIRECTORY, 0);
        if (fd < 0 && errno != ENOENT)
            return fail_with(PR_CALL_OPENAT2, errno, -1);
        if (fd >= 0) {
            int done = fstat(fd, &st) < 0 ? fail_with(PR_CALL_STAT, errno, -1) : 0;
            close(fd);
            if (done < 0)
                return -1;
            snprintf(mode, sizeof mode, "mode=%04o%s", st.st_mode & 07777, *given ? "," : "");
        }
    }
    int length = snprintf(data, size, "%s%s", mode, given);
    return length < (int)size ? 0 : fail_with(PR_CALL_MOUNT, E2BIG, -1);
}

static int by_mount(const struct pr_long_filesystem *s)
{
    char place[32], data[PAGE];
    if (data_for(s, data, sizeof data) < 0)
        return -1;
    int tree = -1, target = reach(TEXT(s, target), 1, 0755);
    if (target < 0)
        return fail_reach();
    if (may_cover(target) == 0 && place_of(target, place, sizeof place) == 0) {
        if (syscall(SYS_mount, TEXT(s, source), place, TEXT(s, fstype), s->flags, data) < 0)
            fail_with(PR_CALL_MOUNT, errno, -1);
        else
            tree = clone_and_unmount(s, target);
    }
    close(target);
    return tree;
}

STEP(long_filesystem)
{
    char **options = strings(s, s->options);
    int tree = -1;
    if (options[0]) {
        tree = new_filesystem(TEXT(s, fstype), TEXT(s, source), NULL, options, 0);
        if (tree < 0 && (!s->data.offset || !knows_no_layers(options)))
            return -1;
    }
    if (tree < 0)
        tree = by_mount(s);
    if (tree < 0)
        return -1;
    struct mount_attr attr = {.attr_set = s->attributes};
    if (s->attributes & MOUNT_ATTR__ATIME)
        attr.attr_clr = MOUNT_ATTR__ATIME;
    if (set_attributes(tree, &attr, 0) < 0) {
        close(tree);
        return fail(PR_CALL_MOUNT_SETATTR);
    }
    set_reg(s->result, tree);
    return 0;
}
