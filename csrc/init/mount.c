/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts, descriptor to descriptor: the source is a detached mount, its attributes are set while
 * nothing can reach it, and move_mount attaches it to a descriptor that was resolved inside the
 * root. No path is looked up a second time (CVE-2021-30465, CVE-2025-52881).
 */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MNT_DETACH
#define MNT_DETACH 2
#endif
#ifndef MS_PRIVATE
#define MS_PRIVATE (1 << 18)
#endif
#ifndef MS_SLAVE
#define MS_SLAVE (1 << 19)
#endif

enum { PROC_ROOT_INODE = 1 };

int set_attributes(int mount, struct mount_attr *attr, int recursive)
{
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    return (int)syscall(SYS_mount_setattr, mount, "", flags, attr, sizeof *attr);
}

int clone_tree(int fd, int recursive)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
    return (int)syscall(SYS_open_tree, fd, "", flags | (recursive ? AT_RECURSIVE : 0));
}

int move_onto(int mount, int target)
{
    unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    return (int)syscall(SYS_move_mount, mount, "", target, "", flags);
}

STEP(propagation)
{
    struct mount_attr attr = {.propagation = s->flag};
    unsigned flags = s->recursive ? AT_RECURSIVE : 0;
    long done;
    if (s->whole)
        done = syscall(SYS_mount_setattr, AT_FDCWD, "/", flags, &attr, sizeof attr);
    else
        done = set_attributes(reg(s->mount), &attr, (int)s->recursive);
    return done < 0 ? fail(PR_CALL_MOUNT_SETATTR) : 0;
}

STEP(open_tree)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (s->recursive ? AT_RECURSIVE : 0);
    long fd = syscall(SYS_open_tree, AT_FDCWD, TEXT(s, path), flags);
    if (fd < 0)
        return fail(PR_CALL_OPEN_TREE);
    set_reg(s->result, (int)fd);
    return 0;
}

STEP(open_inside)
{
    int fd = open_in_root(TEXT(s, path), O_PATH, 0);
    if (fd < 0)
        return fail(PR_CALL_OPENAT2);
    int tree = clone_tree(fd, (int)s->recursive);
    int done = tree < 0 ? fail(PR_CALL_OPEN_TREE) : 0;
    close(fd);
    if (done == 0)
        set_reg(s->result, tree);
    return done;
}

/* Up from the path to the first place where a mount is: EINVAL says that there is none. */
STEP(private_parent)
{
    struct mount_attr attr = {.propagation = MS_PRIVATE};
    char path[PATH_MAX];
    size_t length = strlen(TEXT(s, path));
    if (length >= sizeof path)
        return fail_with(PR_CALL_MOUNT_SETATTR, ENAMETOOLONG, 0);
    memcpy(path, TEXT(s, path), length + 1);
    for (;;) {
        const char *place = path[0] ? path : "/";
        if (place[1] == 0 && !s->root)
            return 0;
        if (syscall(SYS_mount_setattr, AT_FDCWD, place, 0, &attr, sizeof attr) == 0)
            return 0;
        if (errno != EINVAL || place[1] == 0)
            return fail(PR_CALL_MOUNT_SETATTR);
        *strrchr(path, '/') = 0;
    }
}

STEP(attach_root)
{
    const char *places[] = {TEXT(s, path), "/"};
    for (size_t i = 0; i < (s->elsewhere ? 2 : 1); i++)
        if (syscall(SYS_move_mount, reg(PR_REG_ROOT), "", AT_FDCWD, places[i],
                    MOVE_MOUNT_F_EMPTY_PATH) == 0)
            return 0;
    return fail(PR_CALL_MOVE_MOUNT);
}

int configure(int context, const char *option, int index)
{
    char key[128];
    const char *equals = strchr(option, '=');
    long done;
    if (!equals) {
        done = syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, option, NULL, 0);
    } else {
        size_t length = (size_t)(equals - option);
        if (length >= sizeof key)
            return fail_with(PR_CALL_FSCONFIG, EINVAL, index);
        memcpy(key, option, length);
        key[length] = 0;
        done = syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, equals + 1, 0);
    }
    return done < 0 ? fail_with(PR_CALL_FSCONFIG, errno, index) : 0;
}

/* A tmpfs takes over the mode of the directory that it covers, unless its options say otherwise:
 * they come later and win. */
static int configure_mode(int context, const char *path)
{
    char mode[16];
    struct stat st;
    int fd = open_in_root(path, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return errno == ENOENT ? 0 : fail_with(PR_CALL_OPENAT2, errno, -1);
    int done = fstat(fd, &st) < 0 ? fail_with(PR_CALL_STAT, errno, -1) : 0;
    close(fd);
    if (done < 0)
        return -1;
    snprintf(mode, sizeof mode, "mode=%04o", st.st_mode & 07777);
    return configure(context, mode, -1);
}

static int configure_all(int context, const char *source, const char *mode_of, char **options)
{
    if (source && syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "source", source, 0) < 0)
        return fail_with(PR_CALL_FSCONFIG, errno, -1);
    if (mode_of && configure_mode(context, mode_of) < 0)
        return -1;
    for (int i = 0; options[i]; i++)
        if (configure(context, options[i], i) < 0)
            return -1;
    if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return fail_with(PR_CALL_FSCONFIG, errno, -1);
    return 0;
}

/* A descriptor of the detached mount, or -1. */
int new_filesystem(const char *fstype, const char *source, const char *mode_of, char **options,
                   unsigned attributes)
{
    int context = (int)syscall(SYS_fsopen, fstype, FSOPEN_CLOEXEC);
    if (context < 0)
        return fail(PR_CALL_FSOPEN);
    int mount = configure_all(context, source, mode_of, options);
    if (mount == 0) {
        mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
        if (mount < 0)
            fail(PR_CALL_FSMOUNT);
    }
    close(context);
    return mount;
}

STEP(make_filesystem)
{
    int mount = new_filesystem(TEXT(s, fstype), TEXT(s, source), TEXT(s, mode_of),
                               strings(s, s->options), (unsigned)s->attributes);
    if (mount < 0)
        return -1;
    set_reg(s->result, mount);
    return 0;
}

/* Without a pid namespace of its own a user namespace may mount no procfs. The host's own is the
 * same one, and what a step opens in there may cross no other mount. */
static int hosts_procfs(const char *path)
{
    struct stat st;
    int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail(PR_CALL_OPEN);
    if (is_on(fd, PROC_SUPER_MAGIC) == 1 && fstat(fd, &st) == 0 && st.st_ino == PROC_ROOT_INODE)
        return fd;
    close(fd);
    return refuse(PR_WHY_NOT_PROCFS, 0);
}

STEP(open_procfs)
{
    int context = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
    if (context < 0)
        return fail(PR_CALL_FSOPEN);
    long mount = -1;
    enum pr_call failed = PR_CALL_FSMOUNT;
    if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        mount = syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC,
                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    else
        failed = PR_CALL_FSCONFIG;
    if (mount < 0)
        fail(failed);
    close(context);
    if (mount < 0 && init.report.err == EPERM && s->hosts.offset)
        mount = hosts_procfs(TEXT(s, hosts));
    if (mount < 0)
        return -1;
    set_reg(s->result, (int)mount);
    return 0;
}

/* In a user namespace the flags of a mount from outside are locked: what may not be cleared is
 * kept, unless the configuration itself clears it. */
STEP(mount_attributes)
{
    struct mount_attr attr = {.attr_set = s->set, .attr_clr = s->clear};
    if (set_attributes(reg(s->mount), &attr, (int)s->recursive) == 0)
        return 0;
    if (errno != EPERM || s->clear == s->fallback)
        return fail(PR_CALL_MOUNT_SETATTR);
    attr.attr_clr = s->fallback;
    if (set_attributes(reg(s->mount), &attr, (int)s->recursive) == 0)
        return 0;
    return errno == EPERM ? refuse(PR_WHY_LOCKED_FLAGS, 0) : fail(PR_CALL_MOUNT_SETATTR);
}

/* EINVAL is what the kernel says of a path where no mount is. */
STEP(remount)
{
    struct mount_attr attr = {.attr_set = s->set, .attr_clr = s->clear};
    int target = open_in_root(TEXT(s, path), O_PATH, 0);
    if (target < 0)
        return fail(PR_CALL_OPENAT2);
    int done = set_attributes(target, &attr, 0) < 0 ? fail(PR_CALL_MOUNT_SETATTR) : 0;
    close(target);
    return done;
}

/* proc and sysfs go onto a directory that no link leads to: an image whose /proc is a link could
 * otherwise choose where the kernel's files appear (CVE-2019-19921, CVE-2023-27561). */
static int open_plain_directory(const char *path)
{
    int reached = reach(path, 1, 0755), fd = -1;
    if (reached >= 0) {
        close(reached);
        fd = open_in_root(path, O_PATH | O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
    }
    if (fd >= 0)
        return fd;
    if (errno == ELOOP || errno == ENOTDIR)
        return refuse(PR_WHY_NOT_A_DIRECTORY, 0);
    return reached < 0 ? fail_reach() : fail(PR_CALL_OPENAT2);
}

/* Only a procfs may land on /proc, and nothing below it but what lxcfs provides
 * (CVE-2019-16884). */
static int check_target(int mount, int target, uint64_t rule)
{
    struct stat st;
    int on_root = same_file(target, reg(PR_REG_ROOT));
    if (on_root)
        return on_root < 0 ? fail(PR_CALL_STAT) : refuse(PR_WHY_ON_ROOTFS, 0);
    if (rule == PR_TARGET_RULE_PROCFS_ROOT) {
        if (is_on(mount, PROC_SUPER_MAGIC) != 1 || fstat(mount, &st) < 0 ||
            st.st_ino != PROC_ROOT_INODE)
            return refuse(PR_WHY_NOT_PROCFS, 0);
    } else if (rule != PR_TARGET_RULE_LISTED_BELOW_PROC) {
        int below = is_on(target, PROC_SUPER_MAGIC);
        if (below < 0)
            return fail(PR_CALL_STATFS);
        if (below && (rule == PR_TARGET_RULE_ANYWHERE || fstat(target, &st) < 0 ||
                      st.st_ino != PROC_ROOT_INODE))
            return refuse(PR_WHY_INSIDE_PROC, 0);
    }
    return 0;
}

int may_cover(int target)
{
    return check_target(-1, target, PR_TARGET_RULE_ANYWHERE);
}

/* EINVAL is all that move_mount(2) says of a file on a directory, or the other way round; mount(2)
 * says ENOTDIR, which engines look for. */
static int why_not_moved(mode_t mode, int target)
{
    struct stat st;
    int error = errno;
    if (error == EINVAL && fstat(target, &st) == 0 && S_ISDIR(st.st_mode) != S_ISDIR(mode))
        return ENOTDIR;
    return error;
}

STEP(attach)
{
    struct stat st;
    const char *path = TEXT(s, target);
    int mount = reg(s->mount), target;
    if (fstat(mount, &st) < 0)
        return fail(PR_CALL_STAT);
    if (s->rule == PR_TARGET_RULE_PLAIN_DIRECTORY || s->rule == PR_TARGET_RULE_PROCFS_ROOT) {
        target = open_plain_directory(path);
    } else if (s->rule == PR_TARGET_RULE_LISTED_BELOW_PROC) {
        target = open_in_root(path, O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
        if (target < 0)
            fail(PR_CALL_OPENAT2);
    } else {
        target = reach(path, S_ISDIR(st.st_mode), 0755);
        if (target < 0)
            fail_reach();
    }
    if (target < 0)
        return -1;
    int done = check_target(mount, target, s->rule);
    if (done == 0 && move_onto(mount, target) < 0)
        done = fail_with(PR_CALL_MOVE_MOUNT, why_not_moved(st.st_mode, target), 0);
    close(target);
    return done;
}

/*
 * pivot_root(".", ".") stacks the old root on the new one, so that no directory of the image is
 * needed to park it. The old tree is made a slave before it is let go: an unmount must not
 * travel to the host.
 */
STEP(pivot)
{
    (void)s;
    int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (old < 0)
        return fail(PR_CALL_OPEN);
    set_reg(PR_REG_OLD_ROOT, old);
    if (fchdir(reg(PR_REG_ROOT)) < 0)
        return fail(PR_CALL_CHDIR);
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return fail(PR_CALL_PIVOT_ROOT);
    struct mount_attr slave = {.propagation = MS_SLAVE};
    if (fchdir(old) < 0)
        return fail(PR_CALL_CHDIR);
    if (set_attributes(old, &slave, 1) < 0)
        return fail(PR_CALL_MOUNT_SETATTR);
    if (syscall(SYS_umount2, ".", MNT_DETACH) < 0)
        return fail(PR_CALL_UMOUNT);
    if (chdir("/") < 0)
        return fail(PR_CALL_CHDIR);
    set_reg(PR_REG_OLD_ROOT, -1);
    int now = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (now < 0 || same_file(now, reg(PR_REG_ROOT)) != 1)
        return refuse(PR_WHY_ON_ROOTFS, 0);
    set_reg(PR_REG_ROOT, now);
    return 0;
}
