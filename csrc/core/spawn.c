/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One clone3 and one execveat, with vfork's semantics: the child shares our memory until it
 * executes, so that starting a container from a large Python process copies no page tables. It
 * runs on a stack of its own, calls nothing but system calls, and all signals are blocked while
 * it does: a handler of Python's must not run twice over the same memory.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/memfd.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

enum { STACK_SIZE = 32 << 10 };

struct child {
    struct pyrunc_spawn *request;
    int error;
};

static int stop(struct child *child, const char *call)
{
    child->error = errno;
    child->request->failed_call = call;
    return 127;
}

/* Every source is first copied to above all targets: a target may be another one's source. */
static int place(struct child *child, int source, int target, int above)
{
    if (source < 0) {
        close(target);
        return 0;
    }
    int copy = fcntl(source, F_DUPFD, above);
    if (copy < 0)
        return stop(child, "fcntl");
    /* From the copy, so that the result never has FD_CLOEXEC, even where source == target. */
    if (dup2(copy, target) < 0)
        return stop(child, "dup2");
    return 0;
}

static int arrange(struct child *child, int exe)
{
    struct pyrunc_spawn *r = child->request;
    int above = exe + 1;
    int copies[3 + r->fd_count];
    for (int i = 0; i < 3 + (int)r->fd_count; i++) {
        int source = i < 3 ? r->stdio[i] : r->fds[i - 3];
        copies[i] = source < 0 ? -1 : fcntl(source, F_DUPFD, above);
        if (source >= 0 && copies[i] < 0)
            return stop(child, "fcntl");
    }
    int program = fcntl(r->exe_fd, F_DUPFD, above);
    if (program < 0)
        return stop(child, "fcntl");
    for (int i = 0; i < 3 + (int)r->fd_count; i++) {
        int target = i < 3 ? i : (int)r->first_fd + i - 3;
        if (place(child, copies[i], target, above) != 0)
            return 127;
    }
    for (int fd = 3; fd < (int)r->first_fd; fd++)
        if (fcntl(fd, F_SETFD, 0) < 0)
            return stop(child, "fcntl");
    if (dup3(program, exe, O_CLOEXEC) < 0)
        return stop(child, "dup3");
    if (syscall(SYS_close_range, (unsigned)above, ~0u, 0) < 0)
        return stop(child, "close_range");
    return 0;
}

static int child_main(void *argument)
{
    struct child *child = argument;
    struct pyrunc_spawn *r = child->request;
    char number[16];
    char *argv[] = {"pyrunc-init", number, NULL};
    char *envp[] = {NULL};
    int exe = (int)(r->first_fd + r->fd_count);
    if (arrange(child, exe) != 0)
        return 127;
    snprintf(number, sizeof number, "%u", r->first_fd);
    syscall(SYS_execveat, exe, "", argv, envp, AT_EMPTY_PATH);
    return stop(child, "execveat");
}

/* clone3 has no wrapper in libc that takes a function, and a child on a new stack must not
 * return through ours: so the call of `main` stands behind the system call itself. */
static long clone_and_call(struct clone_args *args, int (*main)(void *), void *argument)
{
#if defined(__x86_64__)
    long result = SYS_clone3;
    register int (*function)(void *) __asm__("r12") = main;
    register void *data __asm__("r13") = argument;
    __asm__ volatile("syscall\n\t"
                     "testq %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xorl %%ebp, %%ebp\n\t"
                     "movq %%r13, %%rdi\n\t"
                     "callq *%%r12\n\t"
                     "movl %%eax, %%edi\n\t"
                     "movl %[exit], %%eax\n\t"
                     "syscall\n\t"
                     "1:"
                     : "+a"(result)
                     : "D"(args), "S"(sizeof *args), "r"(function), "r"(data), [exit] "i"(SYS_exit)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_clone3;
    register long result __asm__("x0") = (long)args;
    register long size __asm__("x1") = sizeof *args;
    register int (*function)(void *) __asm__("x19") = main;
    register void *data __asm__("x20") = argument;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "mov x0, x20\n\t"
                     "blr x19\n\t"
                     "mov x8, %[exit]\n\t"
                     "svc #0\n\t"
                     "1:"
                     : "+r"(result)
                     : "r"(number), "r"(size), "r"(function), "r"(data), [exit] "i"(SYS_exit)
                     : "memory", "cc");
    return result;
#else
    /* Without that assembly the child gets a copy of our memory; it costs time, nothing else. */
    args->flags &= ~(uint64_t)(CLONE_VM | CLONE_VFORK);
    args->stack = args->stack_size = 0;
    long result = syscall(SYS_clone3, args, sizeof *args);
    if (result == 0)
        _exit(main(argument));
    return result < 0 ? -errno : result;
#endif
}

int pyrunc_spawn(struct pyrunc_spawn *request)
{
    _Alignas(16) char stack[STACK_SIZE];
    struct child child = {.request = request};
    struct clone_args args = {.flags = request->flags | CLONE_VM | CLONE_VFORK | CLONE_PIDFD,
                              .exit_signal = SIGCHLD,
                              .pidfd = (uint64_t)(uintptr_t)&request->pidfd,
                              .stack = (uint64_t)(uintptr_t)stack,
                              .stack_size = sizeof stack};
    if (request->cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)request->cgroup_fd;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    long pid = clone_and_call(&args, child_main, &child);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        request->failed_call = "clone3";
    if (pid < 0 || !child.error)
        return (int)pid;
    siginfo_t info; /* it has said why already; only its zombie is left */
    waitid(P_PIDFD, (id_t)request->pidfd, &info, WEXITED | __WALL);
    close(request->pidfd);
    return -child.error;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

int pyrunc_sealed_memfd(const char *name, const void *data, size_t size, int executable)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    unsigned exec = executable ? MFD_EXEC : MFD_NOEXEC_SEAL;
    int fd = (int)syscall(SYS_memfd_create, name, flags | exec);
    if (fd < 0 && errno == EINVAL) /* before 6.3 a memfd is always executable */
        fd = (int)syscall(SYS_memfd_create, name, flags);
    if (fd < 0)
        return -errno;
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    if (write_all(fd, data, size) < 0 || (executable && fchmod(fd, 0511) < 0) ||
        fcntl(fd, F_ADD_SEALS, seals) < 0)
        goto failed;
    if (executable) /* EINVAL: a kernel without this seal; the others hold */
        fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC);
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) < 0)
        goto failed;
    return fd;
failed:;
    int error = errno;
    close(fd);
    return -error;
}
