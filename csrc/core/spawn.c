/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One clone3 and one execveat. The child shares our memory until it executes, so that starting a
 * container from a large Python process copies no page tables. Unlike vfork(2)'s the parent does
 * not sleep in the kernel for that time, deaf to signals: a child that is put into a frozen cgroup
 * would hold it there for as long as that stays frozen. It waits for the word that the kernel
 * clears when the child lets go of the memory, and looks up now and then.
 *
 * The child runs on a stack of its own with all signals blocked: a handler of Python's must not
 * run twice over the same memory. It shares our thread-local storage too, so it calls the kernel
 * without libc's wrappers, which would write its errno over ours.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
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

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "pyrunc knows how to start a process on x86_64 and aarch64 only"
#endif

/* The stack holds a few small frames, however many descriptors are passed. */
enum { STACK_SIZE = 64 << 10, GUARD_SIZE = 64 << 10, MOST_FDS = 1 << 16, LOOK_MS = 100 };

struct child {
    struct pyrunc_spawn *request;
    int *copies; /* of stdio and fds, above all targets */
    char number[16];
    int error;
    uint32_t shares; /* cleared by the kernel: the memory is ours alone again */
};

static long raw(long number, long a, long b, long c, long d, long e)
{
#if defined(__x86_64__)
    long result = number;
    register long fourth __asm__("r10") = d;
    register long fifth __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                     : "rcx", "r11", "memory");
    return result;
#else
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
                     : "memory", "cc");
    return x0;
#endif
}

static int stop(struct child *child, const char *call, long error)
{
    child->error = (int)-error;
    child->request->failed_call = call;
    return 127;
}

static long copy_above(int fd, int above)
{
    return raw(SYS_fcntl, fd, F_DUPFD, above, 0, 0);
}

/* Every source is first copied to above all targets: a target may be another one's source. */
static int arrange(struct child *child, int exe)
{
    struct pyrunc_spawn *r = child->request;
    int above = exe + 1, count = 3 + (int)r->fd_count;
    long error;
    for (int i = 0; i < count; i++) {
        int source = i < 3 ? r->stdio[i] : r->fds[i - 3];
        child->copies[i] = -1;
        if (source < 0)
            continue;
        if ((error = copy_above(source, above)) < 0)
            return stop(child, "fcntl", error);
        child->copies[i] = (int)error;
    }
    long program = copy_above(r->exe_fd, above);
    if (program < 0)
        return stop(child, "fcntl", program);
    for (int i = 0; i < count; i++) {
        int target = i < 3 ? i : (int)r->first_fd + i - 3;
        /* From the copy, so that the result never has FD_CLOEXEC, even where source == target. */
        if (child->copies[i] < 0)
            raw(SYS_close, target, 0, 0, 0, 0);
        else if ((error = raw(SYS_dup3, child->copies[i], target, 0, 0, 0)) < 0)
            return stop(child, "dup3", error);
    }
    for (int fd = 3; fd < (int)r->first_fd; fd++)
        if ((error = raw(SYS_fcntl, fd, F_SETFD, 0, 0, 0)) < 0)
            return stop(child, "fcntl", error);
    if ((error = raw(SYS_dup3, program, exe, O_CLOEXEC, 0, 0)) < 0)
        return stop(child, "dup3", error);
    if ((error = raw(SYS_close_range, above, ~0u, 0, 0, 0)) < 0)
        return stop(child, "close_range", error);
    return 0;
}

static int child_main(void *argument)
{
    struct child *child = argument;
    struct pyrunc_spawn *r = child->request;
    char *argv[] = {"pyrunc-init", child->number, NULL};
    char *envp[] = {NULL};
    int exe = (int)(r->first_fd + r->fd_count);
    if (arrange(child, exe) != 0)
        return 127;
    return stop(child, "execveat",
                raw(SYS_execveat, exe, (long)"", (long)argv, (long)envp, AT_EMPTY_PATH));
}

/* clone3 has no wrapper in libc that takes a function, and a child on a new stack must not
 * return through ours: so the call of `main` comes after the system call itself. */
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
#endif
}

/* Whether the child has executed the program or ended, so that our memory is ours alone. */
static int is_free(struct child *child)
{
    return __atomic_load_n(&child->shares, __ATOMIC_ACQUIRE) == 0;
}

static int readable(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&look, 1, 0) > 0;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until the child has let go of our memory. What does not happen by itself is made to: after the
 * caller's time, or once there is something to read for him, it is killed. The result is 0,
 * -EINTR or -ETIMEDOUT. */
static int await_exec(struct child *child)
{
    struct pyrunc_spawn *r = child->request;
    int64_t deadline = r->timeout_ms < 0 ? INT64_MAX : now_ms() + r->timeout_ms;
    struct timespec slice = {.tv_nsec = LOOK_MS * 1000000L};
    int ended = 0;
    while (!is_free(child)) {
        syscall(SYS_futex, &child->shares, FUTEX_WAIT, 1, &slice, NULL, 0);
        if (is_free(child))
            break;
        if (readable(r->pidfd))
            break; /* dead in a way that wakes no waiter, such as a core dump */
        if (ended)
            continue;
        if (readable(r->interrupt_fd))
            ended = -EINTR;
        else if (now_ms() >= deadline)
            ended = -ETIMEDOUT;
        if (ended)
            syscall(SYS_pidfd_send_signal, r->pidfd, SIGKILL, NULL, 0);
    }
    return ended;
}

static void reap(int pidfd)
{
    siginfo_t info;
    while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL) < 0 && errno == EINTR)
        ;
    close(pidfd);
}

static long start(struct child *child, char *stack)
{
    struct pyrunc_spawn *request = child->request;
    struct clone_args args = {.flags =
                                  request->flags | CLONE_VM | CLONE_CHILD_CLEARTID | CLONE_PIDFD,
                              .exit_signal = SIGCHLD,
                              .pidfd = (uint64_t)(uintptr_t)&request->pidfd,
                              .child_tid = (uint64_t)(uintptr_t)&child->shares,
                              .stack = (uint64_t)(uintptr_t)stack,
                              .stack_size = STACK_SIZE};
    if (request->cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)request->cgroup_fd;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    long pid = clone_and_call(&args, child_main, child);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        request->failed_call = "clone3";
        return pid;
    }
    int error = await_exec(child);
    if (error)
        request->failed_call = "clone3";
    else
        error = -child->error;
    if (!error)
        return pid;
    reap(request->pidfd);
    return error;
}

int pyrunc_spawn(struct pyrunc_spawn *request)
{
    request->failed_call = "clone3";
    if (request->fd_count > MOST_FDS || request->first_fd > MOST_FDS)
        return -EMFILE;
    size_t copies = (3 + (size_t)request->fd_count) * sizeof(int);
    size_t size = GUARD_SIZE + STACK_SIZE + copies;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    long result;
    /* Below the stack, which grows down: what runs over it ends the child and not us. */
    if (mprotect(memory, GUARD_SIZE, PROT_NONE) < 0) {
        result = -errno;
    } else {
        char *stack = memory + GUARD_SIZE;
        struct child child = {
            .request = request, .copies = (int *)(void *)(stack + STACK_SIZE), .shares = 1};
        snprintf(child.number, sizeof child.number, "%u", request->first_fd);
        result = start(&child, stack);
    }
    munmap(memory, size);
    return (int)result;
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
