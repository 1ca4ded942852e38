// SPDX-License-Identifier: Apache-2.0
// What a process in a container finds. Each argument is a question, "word" or "word:object"; each
// answer is a line "label<TAB>question<TAB>answer" on stdout. Static: it is all that a root
// filesystem needs, and a hook can be it too, on either side.

#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <net/if.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void ask_stat(const char *path)
{
    struct stat st;
    if (lstat(path, &st)) {
        say_error();
        return;
    }
    const char *kind = S_ISREG(st.st_mode)    ? "file"
                       : S_ISDIR(st.st_mode)  ? "dir"
                       : S_ISLNK(st.st_mode)  ? "link"
                       : S_ISCHR(st.st_mode)  ? "char"
                       : S_ISBLK(st.st_mode)  ? "block"
                       : S_ISFIFO(st.st_mode) ? "fifo"
                                              : "socket";
    say("%s %04o %u:%u %u:%u", kind, (unsigned)st.st_mode & 07777, st.st_uid, st.st_gid,
        major(st.st_rdev), minor(st.st_rdev));
}

/// Open as the first letter says: r, w, or c to create.
static void ask_open(const char *text)
{
    int flags = *text == 'r' ? O_RDONLY : *text == 'w' ? O_WRONLY : O_WRONLY | O_CREAT;
    int fd = open(text + 1, flags | O_CLOEXEC | O_NONBLOCK, 0644);
    if (fd < 0) {
        say_error();
        return;
    }
    char byte;
    if (*text == 'r' && read(fd, &byte, 1) == 0)
        say("empty");
    else
        say("ok");
    close(fd);
}

static void ask_write(char *text)
{
    char *value = strchr(text, '=');
    *value++ = 0;
    int fd = open(text, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        say_error();
    else
        say("ok");
    close(fd);
}

static void ask_rlimit(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } all[] = {{"AS", RLIMIT_AS},
               {"CORE", RLIMIT_CORE},
               {"CPU", RLIMIT_CPU},
               {"DATA", RLIMIT_DATA},
               {"FSIZE", RLIMIT_FSIZE},
               {"LOCKS", RLIMIT_LOCKS},
               {"MEMLOCK", RLIMIT_MEMLOCK},
               {"MSGQUEUE", RLIMIT_MSGQUEUE},
               {"NICE", RLIMIT_NICE},
               {"NOFILE", RLIMIT_NOFILE},
               {"NPROC", RLIMIT_NPROC},
               {"RSS", RLIMIT_RSS},
               {"RTPRIO", RLIMIT_RTPRIO},
               {"RTTIME", RLIMIT_RTTIME},
               {"SIGPENDING", RLIMIT_SIGPENDING},
               {"STACK", RLIMIT_STACK}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct rlimit limit;
        if (strcmp(all[i].name, name))
            continue;
        getrlimit(all[i].number, &limit);
        say("%llu %llu", (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
        return;
    }
    say("unknown");
}

/// One system call that a filter may have an opinion on, in a child: it may be killed.
static void ask_call(const char *name)
{
    fflush(stdout);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) {
        say_error();
        return;
    }
    pid_t child = fork();
    if (!child) {
        long got = -1;
        errno = 0;
        if (!strcmp(name, "mkdir"))
            got = mkdir("/probe-dir", 0700);
        else if (!strcmp(name, "getcwd")) {
            char text[256];
            got = syscall(SYS_getcwd, text, sizeof text);
        } else if (!strncmp(name, "getpriority", 11))
            got = syscall(SYS_getpriority, atoi(name + 11), 0);
        else if (!strcmp(name, "uname")) {
            struct utsname text;
            got = syscall(SYS_uname, &text);
        } else if (!strcmp(name, "unshare"))
            got = unshare(CLONE_NEWUTS);
        else if (!strcmp(name, "sethostname"))
            got = sethostname("x", 1);
        else if (!strcmp(name, "mount"))
            got = mount("none", "/", "tmpfs", 0, "");
        else if (!strcmp(name, "chown"))
            got = chown("/probe", 1, 1);
        else if (!strcmp(name, "setuid"))
            got = setuid(77);
        else if (!strcmp(name, "chroot"))
            got = chroot("/");
        int error = got < 0 ? errno : 0;
        if (write(ends[1], &error, sizeof error) < 0)
            _exit(2);
        _exit(0);
    }
    int error = -1, status = 0;
    close(ends[1]);
    ssize_t got = read(ends[0], &error, sizeof error);
    close(ends[0]);
    waitpid(child, &status, 0);
    if (got == sizeof error) {
        errno = error;
        if (error)
            say_error();
        else
            say("ok");
    } else if (WIFSIGNALED(status))
        say("signal %d", WTERMSIG(status));
    else
        say("exit %d", WEXITSTATUS(status));
}

static void ask_exec(const char *path)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) {
        say_error();
        return;
    }
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        char *arguments[] = {(char *)path, NULL};
        execv(path, arguments);
        int error = errno;
        _exit(write(ends[1], &error, sizeof error) < 0);
    }
    int error = 0;
    close(ends[1]);
    ssize_t got = read(ends[0], &error, sizeof error);
    close(ends[0]);
    waitpid(child, NULL, 0);
    errno = error;
    if (got > 0)
        say_error();
    else
        say("ok");
}

static void ask_process(const char *word)
{
    char text[4096] = "";
    struct utsname names;
    uname(&names);
    if (!strcmp(word, "cwd"))
        say("%s", getcwd(text, sizeof text) ? text : strerror(errno));
    else if (!strcmp(word, "ids")) {
        uid_t r, e, s;
        gid_t gr, ge, gs;
        getresuid(&r, &e, &s);
        getresgid(&gr, &ge, &gs);
        say("%u %u %u %u %u %u", r, e, s, gr, ge, gs);
    } else if (!strcmp(word, "umask"))
        say("%04o", umask(0));
    else if (!strcmp(word, "pid"))
        say("%d", getpid());
    else if (!strcmp(word, "hostname"))
        say("%s", names.nodename);
    else if (!strcmp(word, "domainname"))
        say("%s", names.domainname);
    else if (!strcmp(word, "machine"))
        say("%s", names.machine);
    else if (!strcmp(word, "personality"))
        say("%x", (unsigned)personality(0xffffffff));
    else if (!strcmp(word, "nice"))
        say("%d", getpriority(PRIO_PROCESS, 0));
    else if (!strcmp(word, "policy")) {
        struct sched_param param;
        syscall(SYS_sched_getparam, 0, &param);
        long policy = syscall(SYS_sched_getscheduler, 0);
        say("%ld %d", policy & 0xffff, param.sched_priority);
    } else if (!strcmp(word, "ioprio")) {
        long value = syscall(SYS_ioprio_get, 1, 0);
        say("%ld %ld", value >> 13, value & 7);
    } else if (!strcmp(word, "monotonic") || !strcmp(word, "boottime")) {
        struct timespec now;
        clock_gettime(*word == 'm' ? CLOCK_MONOTONIC : CLOCK_BOOTTIME, &now);
        say("%lld", (long long)now.tv_sec);
    } else if (!strcmp(word, "tty"))
        say("%d %d %d", isatty(0), isatty(1), isatty(2));
    else if (!strcmp(word, "winsize")) {
        struct winsize size = {0};
        ioctl(0, TIOCGWINSZ, &size);
        say("%d %d", size.ws_row, size.ws_col);
    } else if (!strcmp(word, "lo")) {
        struct ifreq wanted = {.ifr_name = "lo"};
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ioctl(fd, SIOCGIFFLAGS, &wanted);
        say("%s", wanted.ifr_flags & IFF_UP ? "up" : "down");
        close(fd);
    } else if (!strcmp(word, "stdin")) {
        size_t got = fread(text, 1, sizeof text - 1, stdin);
        text[got] = 0;
        say("%s", text);
    } else
        say("unknown question");
}

/// Wait for a signal, and report which.
static void ask_signal(void)
{
    sigset_t all;
    int number;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    say("ready");
    begin("caught");
    sigwait(&all, &number);
    say("%d", number);
}

static int act(char *word, char *object)
{
    if (!strcmp(word, "exit"))
        exit(atoi(object));
    else if (!strcmp(word, "sleep")) {
        sleep((unsigned)atoi(object));
    } else if (!strcmp(word, "out")) {
        if (!freopen(object, "a", stdout))
            exit(99);
        setvbuf(stdout, NULL, _IOLBF, 0);
    } else if (!strcmp(word, "label"))
        label = object;
    else
        return 0;
    return 1;
}

static void answer(char *word, char *object, char **argv)
{
    char text[4096];
    if (!strcmp(word, "stat"))
        ask_stat(object);
    else if (!strcmp(word, "open"))
        ask_open(object);
    else if (!strcmp(word, "write"))
        ask_write(object);
    else if (!strcmp(word, "exec"))
        ask_exec(object);
    else if (!strcmp(word, "call"))
        ask_call(object);
    else if (!strcmp(word, "rlimit"))
        ask_rlimit(object);
    else if (!strcmp(word, "mkdir"))
        mkdir(object, 0755) ? say_error() : say("ok");
    else if (!strcmp(word, "chdir"))
        chdir(object) ? say_error() : say("ok");
    else if (!strcmp(word, "link")) {
        ssize_t got = readlink(object, text, sizeof text - 1);
        text[got < 0 ? 0 : got] = 0;
        got < 0 ? say_error() : say("%s", text);
    } else if (!strcmp(word, "ns")) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/ns/%s", object);
        ssize_t got = readlink(path, text, sizeof text - 1);
        text[got < 0 ? 0 : got] = 0;
        got < 0 ? say_error() : say("%s", text);
    } else if (!strcmp(word, "file"))
        say_file(object);
    else if (!strcmp(word, "status"))
        say_status(object);
    else if (!strcmp(word, "mount"))
        say_mount(object);
    else if (!strcmp(word, "list"))
        say_list(object);
    else if (!strcmp(word, "env"))
        say_strings(environ);
    else if (!strcmp(word, "args"))
        say_strings(argv);
    else if (!strcmp(word, "signal"))
        ask_signal();
    else
        ask_process(word);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        char *word = strdup(argv[i]), *object = strchr(word, ':');
        if (object)
            *object++ = 0;
        if (act(word, object ? object : ""))
            continue;
        begin(argv[i]);
        answer(word, object ? object : "", argv);
    }
    return 0;
}
