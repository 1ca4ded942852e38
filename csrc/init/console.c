/* SPDX-License-Identifier: Apache-2.0 */
/* The container's terminal: a pty from its own devpts. The peer is obtained from the master itself
 * (TIOCGPTPEER), never looked up as /dev/pts/N, which the image could have prepared
 * (CVE-2025-52565). */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif
enum { PTMX_INODE = 2 };

static int open_master(void)
{
    struct stat st;
    int fd = open_in_root("/dev/pts/ptmx", O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
    if (fd < 0)
        return fail(PR_CALL_OPENAT2);
    int right = is_on(fd, DEVPTS_SUPER_MAGIC) == 1 && is_device(fd, S_IFCHR, 5, 2) &&
                fstat(fd, &st) == 0 && st.st_ino == PTMX_INODE;
    close(fd);
    if (!right)
        return refuse(PR_WHY_NOT_DEVPTS, 0);
    fd = open_in_root("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
    if (fd < 0)
        return fail(PR_CALL_OPENAT2);
    if (is_on(fd, DEVPTS_SUPER_MAGIC) != 1) {
        close(fd);
        return refuse(PR_WHY_NOT_DEVPTS, 0);
    }
    return fd;
}

/* One message, one descriptor, one name: what containerd's shim and conmon insist on. */
static int send_master(int socket, int master)
{
    static const char name[] = "/dev/ptmx";
    return send_with_descriptor(socket, name, sizeof name - 1, master) < 0 ? fail(PR_CALL_SENDMSG)
                                                                           : 0;
}

/* /dev/console is the peer itself, bound over an empty file that is not reached by a link. */
static int bind_console(int peer)
{
    const char *name;
    int parent = open_parent("/dev/console", &name);
    if (parent < 0)
        return fail(PR_CALL_OPENAT2);
    int made = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0666);
    if (made >= 0)
        close(made);
    int target = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    close(parent);
    if (target < 0)
        return fail(PR_CALL_OPEN);
    struct stat st;
    int done = 0;
    int tree = -1;
    if (fstat(target, &st) < 0 || S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode))
        done = fail_with(PR_CALL_OPEN, ELOOP, 0);
    else if ((tree = (int)syscall(SYS_open_tree, peer, "",
                                  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)) < 0)
        done = fail(PR_CALL_OPEN_TREE);
    else if (syscall(SYS_move_mount, tree, "", target, "",
                     MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        done = fail(PR_CALL_MOVE_MOUNT);
    if (tree >= 0)
        close(tree);
    close(target);
    return done;
}

static int take_terminal(int peer)
{
    for (int fd = 0; fd <= 2; fd++)
        if (dup2(peer, fd) < 0)
            return fail(PR_CALL_DUP2);
    return ioctl(0, TIOCSCTTY, 0) < 0 ? fail(PR_CALL_IOCTL) : 0;
}

STEP(console)
{
    int unlock = 0;
    int master = open_master();
    if (master < 0)
        return -1;
    if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
        return fail(PR_CALL_IOCTL);
    int peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (peer < 0)
        return fail(PR_CALL_IOCTL);
    struct winsize size = {.ws_row = (unsigned short)s->rows, .ws_col = (unsigned short)s->columns};
    if ((s->rows || s->columns) && ioctl(master, TIOCSWINSZ, &size) < 0)
        return fail(PR_CALL_IOCTL);
    if (fchown(peer, (uid_t)s->uid, (gid_t)-1) < 0 && errno != EPERM && errno != EROFS)
        return fail(PR_CALL_CHOWN);
    if (s->mount && bind_console(peer) < 0)
        return -1;
    if (send_master(reg(s->socket), master) < 0)
        return -1;
    close(master);
    if (take_terminal(peer) < 0)
        return -1;
    close(peer);
    set_reg(s->socket, -1);
    return 0;
}
