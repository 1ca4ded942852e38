/* SPDX-License-Identifier: Apache-2.0 */
/* The process and its namespaces. */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

STEP(parent_death)
{
    return prctl(PR_SET_PDEATHSIG, s->signal) < 0 ? fail(PR_CALL_PRCTL) : 0;
}

STEP(dumpable)
{
    return prctl(PR_SET_DUMPABLE, s->value) < 0 ? fail(PR_CALL_PRCTL) : 0;
}

STEP(sync)
{
    if (send_message((enum pr_message_kind)s->message, 0, -1) < 0)
        return fail(PR_CALL_WRITE);
    return await_go();
}

STEP(join_cgroups)
{
    for (uint64_t i = 0; i < s->count && s->first + i < init.plan.header->registers; i++) {
        int tasks = reg(s->first + i);
        if (tasks < 0) /* a hierarchy that this container has no cgroup in */
            continue;
        if (write(tasks, "0", 1) != 1)
            return fail(PR_CALL_WRITE);
        set_reg(s->first + i, -1);
    }
    return 0;
}

STEP(join_namespace)
{
    /* The host's, of a process that joins a container: what may trace it there could open it. */
    set_reg(PR_REG_PROCFS, -1);
    if (setns(reg(s->ns), (int)s->flag) < 0)
        return fail(PR_CALL_SETNS);
    set_reg(s->ns, -1);
    return 0;
}

STEP(unshare)
{
    return unshare((int)s->flags) < 0 ? fail(PR_CALL_UNSHARE) : 0;
}

/*
 * Go on in a child. CLONE_PARENT makes it a sibling of this process, so a direct child of
 * whoever started us: callers wait for the container's init by its pid. This process is not yet
 * in the new pid namespace, so the pid that it gets is the caller's.
 */
STEP(fork)
{
    (void)s;
    int pidfd = -1;
    struct clone_args args = {.flags = CLONE_PARENT | CLONE_PIDFD,
                              .pidfd = (uint64_t)(uintptr_t)&pidfd};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid < 0)
        return fail(PR_CALL_CLONE3);
    if (pid > 0)
        _exit(send_message(PR_MSG_FORKED, (int)pid, pidfd) < 0);
    /* The parent-death signal is not inherited; the parent's death also ends the socket. */
    if (await_go() < 0)
        return -1;
    return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? fail(PR_CALL_PRCTL) : 0;
}

/* Groups first: setgroups needs the capability that setresuid may take away. */
STEP(become_root)
{
    if (s->setgroups && setgroups(0, NULL) < 0)
        return fail(PR_CALL_SETGROUPS);
    if (syscall(SYS_setresgid, 0, 0, 0) < 0)
        return fail(PR_CALL_SETRESGID);
    if (syscall(SYS_setresuid, 0, 0, 0) < 0)
        return fail(PR_CALL_SETRESUID);
    return 0;
}

/* The system call itself: where a filter denies it, the process stays. */
static void end(int number)
{
    syscall(SYS_exit_group, 128 + number);
}

/* Handlers here, since a filter may forbid to set them later; execve takes them away. */
STEP(new_session)
{
    struct sigaction action = {.sa_handler = end};
    for (int number = 1; number < 32; number++)
        if (s->ending >> number & 1 && sigaction(number, &action, NULL) < 0)
            return fail(PR_CALL_SIGACTION);
    return setsid() < 0 ? fail(PR_CALL_SETSID) : 0;
}

STEP(session_keyring)
{
    long ring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, TEXT(s, name));
    if (ring < 0) /* a kernel without keyrings has none to share either */
        return errno == ENOSYS ? 0 : fail(PR_CALL_KEYCTL);
    uint64_t standard = 0x3f130000; /* as the kernel has made it; only search is added */
    if (syscall(SYS_keyctl, KEYCTL_SETPERM, ring, standard | s->permissions) < 0)
        return fail(PR_CALL_KEYCTL);
    return 0;
}

STEP(loopback_up)
{
    (void)s;
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(PR_CALL_SOCKET);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    int done = ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? fail(PR_CALL_IOCTL) : 0;
    close(fd);
    return done;
}

STEP(hostname)
{
    const char *name = TEXT(s, name);
    return sethostname(name, strlen(name)) < 0 ? fail(PR_CALL_SETHOSTNAME) : 0;
}

STEP(domainname)
{
    const char *name = TEXT(s, name);
    return setdomainname(name, strlen(name)) < 0 ? fail(PR_CALL_SETDOMAINNAME) : 0;
}
