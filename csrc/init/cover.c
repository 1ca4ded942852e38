/* SPDX-License-Identifier: Apache-2.0 */
/* maskedPaths and readonlyPaths: what the program must not see, or not change. Only the absence of
 * such a path is not an error. */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MS_PRIVATE
#define MS_PRIVATE (1 << 18)
#endif

STEP(read_only_path)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    int done = 0;
    int target = open_in(reg(s->base), TEXT(s, path), O_PATH, 0);
    if (target < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : fail(PR_CALL_OPENAT2);
    int root = is_root(target), tree = -1;
    if (root < 0)
        done = fail(PR_CALL_STAT);
    else if (root) /* no look-up crosses what is mounted on top of "/" */
        done = set_attributes(target, &attr, 0) < 0 ? fail(PR_CALL_MOUNT_SETATTR) : 0;
    else if ((tree = clone_tree(target, 1)) < 0)
        done = fail(PR_CALL_OPEN_TREE);
    else if (set_attributes(tree, &attr, 0) < 0)
        done = fail(PR_CALL_MOUNT_SETATTR);
    else if (move_onto(tree, target) < 0)
        done = fail(PR_CALL_MOVE_MOUNT);
    if (tree >= 0)
        close(tree);
    close(target);
    return done;
}

/* All masked directories share the superblock of one empty tmpfs. The first gets the mount itself
 * and the others clones of it: before Linux 6.15 only what is attached can be cloned. */
static int empty_directory(void)
{
    static int tmpfs = -1;
    if (tmpfs >= 0) {
        /* Where the root is shared the first is too, and its clones would be its peers. */
        struct mount_attr private = {.propagation = MS_PRIVATE};
        int tree = clone_tree(tmpfs, 0);
        if (tree < 0)
            return fail(PR_CALL_OPEN_TREE);
        return set_attributes(tree, &private, 0) < 0 ? fail(PR_CALL_MOUNT_SETATTR) : tree;
    }
    int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    if (context < 0)
        return fail(PR_CALL_FSOPEN);
    if (configure(context, "nr_blocks=1", 0) < 0 || configure(context, "nr_inodes=1", 1) < 0 ||
        configure(context, "source=tmpfs", 2) < 0 || configure(context, "ro", 3) < 0)
        return -1;
    if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return fail(PR_CALL_FSCONFIG);
    tmpfs = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
    close(context);
    if (tmpfs < 0)
        return fail(PR_CALL_FSMOUNT);
    int same = fcntl(tmpfs, F_DUPFD_CLOEXEC, 0);
    return same < 0 ? fail(PR_CALL_DUP2) : same;
}

/* The container's own /dev/null, which the image may have replaced (CVE-2025-31133): whatever it
 * is, it must be the null device, and the descriptor that was checked is the one that is used. */
static int null_device(void)
{
    int fd = open_in_root("/dev/null", O_PATH | O_NOFOLLOW, 0);
    if (fd < 0)
        return refuse(PR_WHY_NOT_NULL, errno);
    if (!is_device(fd, S_IFCHR, 1, 3)) {
        close(fd);
        return refuse(PR_WHY_NOT_NULL, 0);
    }
    int tree = clone_tree(fd, 0);
    close(fd);
    return tree < 0 ? fail(PR_CALL_OPEN_TREE) : tree;
}

STEP(mask_path)
{
    struct stat st;
    int target = open_in(reg(s->base), TEXT(s, path), O_PATH, 0);
    if (target < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : fail(PR_CALL_OPENAT2);
    if (fstat(target, &st) < 0) {
        close(target);
        return fail(PR_CALL_STAT);
    }
    int root = is_root(target);
    if (root) { /* what is mounted on top of "/" hides nothing: no look-up crosses it */
        close(target);
        return root < 0 ? fail(PR_CALL_STAT) : refuse(PR_WHY_ON_ROOTFS, 0);
    }
    int cover = S_ISDIR(st.st_mode) ? empty_directory() : null_device();
    if (cover < 0) {
        close(target);
        return -1;
    }
    int done = move_onto(cover, target) < 0 ? fail(PR_CALL_MOVE_MOUNT) : 0;
    close(target);
    if (done == 0) { /* what is there now must be the cover, not what a race left beneath */
        target = open_in(reg(s->base), TEXT(s, path), O_PATH, 0);
        if (target < 0 || same_file(target, cover) != 1)
            done = refuse(PR_WHY_NOT_COVERED, 0);
        if (target >= 0)
            close(target);
    }
    close(cover);
    return done;
}
