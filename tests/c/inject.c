/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a command, and disturbs one system call of the pyrunc-init that it starts.
 *
 *   inject LOG NUMBER FAULT COMMAND...
 *
 * System calls are counted from the execve of pyrunc-init to that of the container's program, over
 * all its stages; those of hooks are not. NUMBER 0 disturbs none. FAULT is the errno in the place
 * of the call, or 0 for SIGKILL before it. LOG gets a line a call, "NUMBER CALL". The exit status
 * is the command's, or 120 where this program fails.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <linux/ptrace.h>
#include <unistd.h>

enum { FAILED = 120, TRACEES = 64, SYSCALL_STOP = SIGTRAP | 0x80 };
enum kind { NOBODY, OTHER, INIT };

static struct tracee {
    pid_t pid;
    enum kind kind;
    int injected; /* the call was left out, its result is to be set */
    int waits;    /* stopped before its parent's event has said what it is */
} tracees[TRACEES];

static FILE *log_file;
static long counted, wanted;
static int fault, done;

static void give_up(const char *what)
{
    perror(what);
    exit(FAILED);
}

static struct tracee *find(pid_t pid)
{
    for (int i = 0; i < TRACEES; i++)
        if (tracees[i].pid == pid)
            return &tracees[i];
    for (int i = 0; i < TRACEES; i++)
        if (tracees[i].pid == 0) {
            tracees[i] = (struct tracee){.pid = pid, .kind = NOBODY};
            return &tracees[i];
        }
    errno = EAGAIN;
    give_up("processes");
    return NULL;
}

static int runs_init(pid_t pid)
{
    static const char name[] = "/memfd:pyrunc-init";
    char path[64], target[64];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    ssize_t n = readlink(path, target, sizeof target);
    return n >= (ssize_t)sizeof name - 1 && memcmp(target, name, sizeof name - 1) == 0;
}

/* -1 as the number: the kernel does nothing, and the result is ours to set. */
static void leave_out(pid_t pid)
{
#if defined(__x86_64__)
    if (ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, orig_rax), -1L) < 0)
        give_up("PTRACE_POKEUSER");
#elif defined(__aarch64__)
    int none = -1;
    struct iovec part = {&none, sizeof none};
    if (ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &part) < 0)
        give_up("PTRACE_SETREGSET");
#else
#error "how is a system call left out here?"
#endif
}

static void set_result(pid_t pid, long result)
{
#if defined(__x86_64__)
    if (ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rax), result) < 0)
        give_up("PTRACE_POKEUSER");
#else
    struct user_regs_struct all;
    struct iovec part = {&all, sizeof all};
    if (ptrace(PTRACE_GETREGSET, pid, 1, &part) < 0)
        give_up("PTRACE_GETREGSET");
    all.regs[0] = (unsigned long)result;
    if (ptrace(PTRACE_SETREGSET, pid, 1, &part) < 0)
        give_up("PTRACE_SETREGSET");
#endif
}

static void let_go(struct tracee *tracee, int signal)
{
    if (ptrace(PTRACE_DETACH, tracee->pid, 0, signal) < 0 && errno != ESRCH)
        give_up("PTRACE_DETACH");
    tracee->pid = 0;
}

/* The next request for it: a call of init to be looked at, or anything of the others. */
static void go_on(struct tracee *tracee, int signal)
{
    if (done && tracee->kind == INIT && !tracee->injected) {
        let_go(tracee, signal);
        return;
    }
    long how = tracee->kind == INIT ? PTRACE_SYSCALL : PTRACE_CONT;
    if (ptrace((enum __ptrace_request)how, tracee->pid, 0, signal) < 0 && errno != ESRCH)
        give_up("PTRACE_CONT");
}

static void at_call(struct tracee *tracee)
{
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->pid, sizeof info, &info) < 0)
        return; /* killed in the meantime */
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && tracee->injected) {
        set_result(tracee->pid, -fault);
        tracee->injected = 0;
    }
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY || done)
        return;
    fprintf(log_file, "%ld %llu\n", ++counted, (unsigned long long)info.entry.nr);
    if (counted != wanted)
        return;
    done = 1;
    if (fault == 0) {
        kill(tracee->pid, SIGKILL);
    } else {
        leave_out(tracee->pid);
        tracee->injected = 1;
    }
}

static void at_event(struct tracee *tracee, int event)
{
    unsigned long message = 0;
    if (event == PTRACE_EVENT_EXEC) {
        if (tracee->kind == INIT) { /* the container's program, or a hook */
            let_go(tracee, 0);
            return;
        }
        if (runs_init(tracee->pid))
            tracee->kind = INIT;
    } else if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK ||
               event == PTRACE_EVENT_VFORK) {
        if (ptrace(PTRACE_GETEVENTMSG, tracee->pid, 0, &message) == 0 && message) {
            struct tracee *child = find((pid_t)message);
            child->kind = tracee->kind == INIT ? INIT : OTHER;
            if (child->waits)
                go_on(child, 0);
            child->waits = 0;
        }
    }
    go_on(tracee, 0);
}

static void at_stop(pid_t pid, int status)
{
    struct tracee *tracee = find(pid);
    int signal = WSTOPSIG(status);
    if (signal == SYSCALL_STOP) {
        at_call(tracee);
        go_on(tracee, 0);
    } else if (status >> 16) {
        int event = status >> 16;
        if (event == PTRACE_EVENT_STOP && tracee->kind == NOBODY)
            tracee->waits = 1;
        else if (event == PTRACE_EVENT_STOP)
            go_on(tracee, 0);
        else
            at_event(tracee, event);
    } else {
        go_on(tracee, signal);
    }
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return FAILED;
    log_file = fopen(argv[1], "we");
    if (!log_file)
        give_up(argv[1]);
    wanted = atol(argv[2]);
    fault = atoi(argv[3]);
    pid_t first = fork();
    if (first == 0) {
        raise(SIGSTOP);
        execvp(argv[4], argv + 4);
        _exit(FAILED);
    }
    int status;
    if (first < 0 || waitpid(first, &status, WUNTRACED) != first)
        give_up("fork");
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE |
                   PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
    if (ptrace(PTRACE_SEIZE, first, 0, options) < 0)
        give_up("PTRACE_SEIZE");
    find(first)->kind = OTHER;
    kill(first, SIGCONT);
    for (;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0)
            give_up("waitpid");
        if (WIFSTOPPED(status)) {
            at_stop(pid, status);
            continue;
        }
        find(pid)->pid = 0;
        if (pid == first)
            break;
    }
    if (fclose(log_file) != 0)
        give_up(argv[1]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
