/* SPDX-License-Identifier: Apache-2.0 */
/* createContainer and startContainer hooks, which run in the container's namespaces. */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The state goes in as a file: a hook that reads none of it cannot block us. The pid in it is
 * the one that this namespace knows. */
static int state_file(const struct pr_run_hook *s)
{
    int fd = memfd_create("state.json", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    if (dprintf(fd, "%s%d%s", TEXT(s, state_before), (int)getpid(), TEXT(s, state_after)) < 0 ||
        lseek(fd, 0, SEEK_SET) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* In the child, between vfork and execve. A session of its own, so that a time-out can end all
 * that it has started. */
static void become_hook(const struct pr_run_hook *s, int state, char **args, char **env)
{
    int output = reg(PR_REG_HOOK_OUTPUT);
    setsid();
    if (reg(PR_REG_ROOT) >= 0 && fchdir(reg(PR_REG_ROOT)) < 0)
        return;
    if (dup2(state, 0) < 0)
        return;
    if (output >= 0 && (dup2(output, 1) < 0 || dup2(output, 2) < 0))
        return;
    if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return;
    execve(TEXT(s, path), args, env);
}

static int await_hook(pid_t pid, uint64_t timeout)
{
    int status, late = 0;
    if (timeout) {
        struct pollfd ready = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
        int wait = timeout > 2000000 ? -1 : (int)timeout * 1000;
        late = ready.fd < 0 || poll(&ready, 1, wait) == 0;
        if (ready.fd >= 0)
            close(ready.fd);
        if (late)
            kill(-pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return fail(PR_CALL_WAITID);
    if (late)
        return refuse(PR_WHY_HOOK_TIMEOUT, (int)timeout);
    if (WIFSIGNALED(status))
        return refuse(PR_WHY_HOOK_SIGNAL, WTERMSIG(status));
    return WEXITSTATUS(status) ? refuse(PR_WHY_HOOK_STATUS, WEXITSTATUS(status)) : 0;
}

/* A startContainer hook: what it has printed is on that stderr, too. */
static void say_why(const struct pr_run_hook *s)
{
    const char *name = TEXT(s, name), *path = TEXT(s, path);
    const char *prefix = "error running";
    int number = (int)s->index, value = init.report.value;
    if (init.report.why == PR_WHY_HOOK_STATUS)
        say("%s %s hook #%d: %s: exit status %d", prefix, name, number, path, value);
    else if (init.report.why == PR_WHY_HOOK_SIGNAL)
        say("%s %s hook #%d: %s: signal %d", prefix, name, number, path, value);
    else if (init.report.why == PR_WHY_HOOK_TIMEOUT)
        say("%s %s hook #%d: %s: ran past its timeout of %ds", prefix, name, number, path, value);
    else
        say("%s %s hook #%d: %s: %s", prefix, name, number, path, strerror(init.report.err));
}

STEP(run_hook)
{
    volatile int error = 0; /* written by the child, which shares our memory until it execs */
    char **args = strings(s, s->args);
    char **env = strings(s, s->env);
    int state = state_file(s);
    if (state < 0)
        return fail(PR_CALL_OPEN);
    if (s->inherit)
        env = init.environment;
    pid_t pid = vfork();
    if (pid == 0) {
        become_hook(s, state, args, env);
        error = errno;
        _exit(127);
    }
    close(state);
    if (pid < 0)
        return fail(PR_CALL_FORK);
    int done = await_hook(pid, s->timeout);
    if (error)
        done = fail_with(PR_CALL_EXECVE, error, 0);
    if (done < 0 && reg(PR_REG_SYNC) < 0)
        say_why(s);
    return done;
}
