/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef FSOPEN_CLOEXEC
#define FSOPEN_CLOEXEC 1
#define FSMOUNT_CLOEXEC 1
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

int pyrunc_open_tree(const char *path, int recursive)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, flags);
    return fd < 0 ? -errno : fd;
}

int pyrunc_map_ids(int mount, int user_namespace, int recursive)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)user_namespace};
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    return syscall(SYS_mount_setattr, mount, "", flags, &attr, sizeof attr) < 0 ? -errno : 0;
}

/* A filesystem of this type with one option of text, attached nowhere. -1 with errno set. */
static int detached(const char *type, const char *key, const char *value, const char **failed)
{
    int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), mount = -1;
    *failed = "fsopen";
    if (fs < 0)
        return -1;
    *failed = "fsconfig";
    if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0) == 0 &&
        syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0) {
        *failed = "fsmount";
        mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
    }
    int error = errno;
    close(fs);
    errno = error;
    return mount;
}

/* A read-only overlay of one directory, attached nowhere. Its files have inodes of their own, which
 * cannot be written to. The kernel wants two layers where nothing may be written: the other one is
 * empty. Both are named by descriptor: no character of a path is then taken for an option's end. */
static int overlay_of(const char *directory, const char **failed)
{
    char layers[64];
    int opened = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC), mount = -1;
    *failed = "open";
    if (opened < 0)
        return -1;
    int empty = detached("tmpfs", "size", "4k", failed);
    if (empty >= 0) {
        snprintf(layers, sizeof layers, "/proc/self/fd/%d:/proc/self/fd/%d", opened, empty);
        mount = detached("overlay", "lowerdir", layers, failed);
    }
    int error = errno;
    if (empty >= 0)
        close(empty);
    close(opened);
    errno = error;
    return mount;
}

static int clone_of(const char *directory, const char **failed)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    int mount = pyrunc_open_tree(directory, 0);
    *failed = "open_tree";
    if (mount < 0) {
        errno = -mount;
        return -1;
    }
    if (syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attr, sizeof attr) == 0)
        return mount;
    *failed = "mount_setattr";
    int error = errno;
    close(mount);
    errno = error;
    return -1;
}

int pyrunc_open_sealed(const char *directory, const char *name, const char **failed)
{
    int mount = overlay_of(directory, failed);
    if (mount < 0)
        mount = clone_of(directory, failed);
    if (mount < 0)
        return -errno;
    *failed = "openat";
    int fd = openat(mount, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int error = errno;
    close(mount);
    return fd < 0 ? -error : fd;
}
