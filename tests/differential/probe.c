// SPDX-License-Identifier: Apache-2.0
// What a process in a container sees, as lines "section: text". It asks the kernel only: no
// shell, no library that could hide a difference.
//
//   probe [sysctl=NAME | path=PATH | write=PATH | list=DIR | exit=CODE | fork | chmod=OP]...
//   probe hook NAME FILE          append what a hook sees to FILE
//   probe sleep                   until killed

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
#include <termios.h>
#include <unistd.h>

extern char **environ;

static FILE *out;

static const char *kind(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "file";
    case S_IFDIR:
        return "dir";
    case S_IFLNK:
        return "link";
    case S_IFCHR:
        return "char";
    case S_IFBLK:
        return "block";
    case S_IFIFO:
        return "fifo";
    case S_IFSOCK:
        return "socket";
    default:
        return "anon";
    }
}

static const char *result(long value)
{
    return value < 0 ? strerrorname_np(errno) : "ok";
}

static void namespaces(void)
{
    static const char *const names[] = {"cgroup", "ipc",  "mnt",  "net",
                                        "pid",    "time", "user", "uts"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64], target[64] = "";
        snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
        ssize_t got = readlink(path, target, sizeof target - 1);
        fprintf(out, "namespace: %s %s\n", names[i], got < 0 ? strerrorname_np(errno) : target);
    }
}

/// Copy the lines of a file; with `keys`, only those that start with one of them.
static void lines(const char *section, const char *path, const char *const *keys)
{
    char line[8192];
    FILE *in = fopen(path, "re");
    if (!in) {
        fprintf(out, "%s: %s\n", section, strerrorname_np(errno));
        return;
    }
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = 0;
        int wanted = !keys;
        for (const char *const *key = keys; key && *key; key++)
            wanted |= !strncmp(line, *key, strlen(*key));
        if (wanted)
            fprintf(out, "%s: %s\n", section, line);
    }
    if (ferror(in))
        fprintf(out, "%s: %s\n", section, strerrorname_np(errno));
    fclose(in);
}

static const char *relative(pid_t pid)
{
    return pid == getpid() ? "self" : pid == 0 ? "0" : pid == 1 ? "1" : "other";
}

static void process(void)
{
    static const char *const keys[] = {
        "Umask:",       "Uid:",         "Gid:",          "Groups:",
        "CapInh:",      "CapPrm:",      "CapEff:",       "CapBnd:",
        "CapAmb:",      "NoNewPrivs:",  "Seccomp:",      "Seccomp_filters:",
        "SigBlk:",      "SigIgn:",      "SigCgt:",       "SigPnd:",
        "ShdPnd:",      "Threads:",     "Cpus_allowed:", "Mems_allowed:",
        "Speculation_", "THP_enabled:", "CoreDumping:",  NULL};
    char text[PATH_MAX];
    lines("status", "/proc/self/status", keys);
    fprintf(out, "process: pid %s ppid %s sid %s pgrp %s\n", getpid() == 1 ? "1" : "other",
            relative(getppid()), relative(getsid(0)), relative(getpgrp()));
    fprintf(out, "process: cwd %s\n", getcwd(text, sizeof text) ? text : strerrorname_np(errno));
    fprintf(out, "process: personality %x\n", (unsigned)personality(0xffffffff));
    int signal = 0;
    prctl(PR_GET_PDEATHSIG, &signal);
    fprintf(out, "process: pdeathsig %d dumpable %d keepcaps %d securebits %d timerslack %d\n",
            signal, prctl(PR_GET_DUMPABLE), prctl(PR_GET_KEEPCAPS), prctl(PR_GET_SECUREBITS),
            prctl(PR_GET_TIMERSLACK));
    fprintf(out, "process: nice %d policy %ld ioprio %ld\n", getpriority(PRIO_PROCESS, 0),
            syscall(SYS_sched_getscheduler, 0), syscall(SYS_ioprio_get, 1, 0));
    lines("process: oom_score_adj", "/proc/self/oom_score_adj", NULL);
    lines("process: comm", "/proc/self/comm", NULL);
    lines("process: label", "/proc/self/attr/current", NULL);
    ssize_t got = readlink("/proc/self/exe", text, sizeof text - 1);
    text[got < 0 ? 0 : got] = 0;
    fprintf(out, "process: exe %s\n", text);
    got = readlink("/proc/self/root", text, sizeof text - 1);
    text[got < 0 ? 0 : got] = 0;
    fprintf(out, "process: root %s\n", text);
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
    fprintf(out, "process: controlling tty %s\n", result(tty));
    if (tty >= 0)
        close(tty);
}

static void keyring(void)
{
    char text[512] = "";
    long id = syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -3 /* session */, 0);
    if (id < 0) {
        fprintf(out, "keyring: %s\n", strerrorname_np(errno));
        return;
    }
    long got = syscall(SYS_keyctl, 6 /* DESCRIBE */, id, text, sizeof text - 1);
    fprintf(out, "keyring: %s\n", got < 0 ? strerrorname_np(errno) : text);
}

static void descriptors(void)
{
    for (int fd = 0; fd < 1024; fd++) {
        struct stat st;
        if (fd == fileno(out) && out != stdout)
            continue;
        if (fstat(fd, &st) < 0)
            continue;
        int flags = fcntl(fd, F_GETFL);
        fprintf(out, "fd: %d %s", fd, kind(st.st_mode));
        if (S_ISCHR(st.st_mode))
            fprintf(out, " %u:%u", major(st.st_rdev), minor(st.st_rdev));
        fprintf(out, " access %o nonblock %d append %d cloexec %d owner %u:%u mode %o\n",
                flags & O_ACCMODE, !!(flags & O_NONBLOCK), !!(flags & O_APPEND),
                fcntl(fd, F_GETFD) & FD_CLOEXEC, st.st_uid, st.st_gid, st.st_mode & 07777);
    }
    if (isatty(0)) {
        struct winsize size = {0};
        struct termios modes;
        char name[64] = "";
        ioctl(0, TIOCGWINSZ, &size);
        tcgetattr(0, &modes);
        ssize_t got = readlink("/proc/self/fd/0", name, sizeof name - 1);
        fprintf(out, "tty: %s size %ux%u foreground %s\n", got < 0 ? "?" : name, size.ws_row,
                size.ws_col, relative(tcgetpgrp(0)));
        fprintf(out, "tty: iflag %o oflag %o cflag %o lflag %o\n", modes.c_iflag, modes.c_oflag,
                modes.c_cflag, modes.c_lflag);
    }
}

static void one_entry(const char *section, const char *path)
{
    struct stat st;
    char target[PATH_MAX] = "";
    if (lstat(path, &st) < 0) {
        fprintf(out, "%s: %s %s\n", section, path, strerrorname_np(errno));
        return;
    }
    fprintf(out, "%s: %s %s %o %u:%u", section, path, kind(st.st_mode), st.st_mode & 07777,
            st.st_uid, st.st_gid);
    if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
        fprintf(out, " dev %u:%u", major(st.st_rdev), minor(st.st_rdev));
    if (S_ISREG(st.st_mode))
        fprintf(out, " size %lld", (long long)st.st_size);
    if (S_ISLNK(st.st_mode) && readlink(path, target, sizeof target - 1) > 0)
        fprintf(out, " -> %s", target);
    fputc('\n', out);
}

static int not_dots(const struct dirent *e)
{
    return strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
}

static void listing(const char *section, const char *path)
{
    struct dirent **found;
    struct stat st;
    one_entry(section, path);
    if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return;
    int count = scandir(path, &found, not_dots, alphasort);
    if (count < 0) {
        fprintf(out, "%s: %s cannot be listed: %s\n", section, path, strerrorname_np(errno));
        return;
    }
    for (int i = 0; i < count; i++) {
        char inner[PATH_MAX];
        snprintf(inner, sizeof inner, "%s/%s", path, found[i]->d_name);
        listing(section, inner);
        free(found[i]);
    }
    free(found);
}

/// What can be done with a path: opened, read, listed, written into.
static void attempt(const char *path, int write_too)
{
    struct stat st;
    char byte, inner[PATH_MAX];
    if (stat(path, &st) < 0) {
        fprintf(out, "path: %s %s\n", path, strerrorname_np(errno));
        return;
    }
    fprintf(out, "path: %s %s %o %u:%u", path, kind(st.st_mode), st.st_mode & 07777, st.st_uid,
            st.st_gid);
    if (S_ISDIR(st.st_mode)) {
        struct dirent **found;
        int count = scandir(path, &found, not_dots, alphasort);
        fprintf(out, " %s", count < 0 ? strerrorname_np(errno) : count ? "filled" : "empty");
        snprintf(inner, sizeof inner, "%s/.probe", path);
        fprintf(out, " mkdir %s", result(mkdir(inner, 0700)));
        rmdir(inner);
    } else {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        fprintf(out, " open %s", result(fd));
        if (fd >= 0) {
            ssize_t got = read(fd, &byte, 1);
            fprintf(out, " read %s", got < 0 ? strerrorname_np(errno) : got ? "data" : "end");
            close(fd);
        }
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_APPEND);
        fprintf(out, " open-write %s", result(fd));
        if (fd >= 0) {
            if (write_too)
                fprintf(out, " write %s", result(write(fd, "x", 1)));
            close(fd);
        }
    }
    fputc('\n', out);
}

/* The interfaces by name: what has passed through the host's own is nobody's property. */
static void devices(void)
{
    char line[512];
    FILE *file = fopen("/proc/self/net/dev", "re");
    while (file && fgets(line, sizeof line, file)) {
        char *end = strchr(line, ':');
        if (end)
            fprintf(out, "network: device: %.*s\n", (int)(end - line), line);
    }
    if (file)
        fclose(file);
}

static void system_wide(void)
{
    struct utsname uts;
    uname(&uts);
    fprintf(out, "uts: %s %s\n", uts.nodename, uts.domainname);
    lines("cgroup", "/proc/self/cgroup", NULL);
    struct ifreq ifr = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int got = fd < 0 ? -1 : ioctl(fd, SIOCGIFFLAGS, &ifr);
    fprintf(out, "network: lo %s %x\n", result(got), got < 0 ? 0 : ifr.ifr_flags & 0xffff);
    if (fd >= 0)
        close(fd);
    devices();
}

static void limits_and_environment(char **argv)
{
    for (int i = 0; i < RLIMIT_NLIMITS; i++) {
        struct rlimit limit;
        if (!getrlimit(i, &limit))
            fprintf(out, "rlimit: %d %lld %lld\n", i, (long long)limit.rlim_cur,
                    (long long)limit.rlim_max);
    }
    for (int i = 0; argv[i]; i++)
        fprintf(out, "argv: %s\n", argv[i]);
    for (char **e = environ; *e; e++)
        fprintf(out, "env: %s\n", *e);
}

static int hook(char **argv)
{
    char state[65536];
    out = fopen(argv[3], "ae");
    if (!out)
        return 1;
    size_t got = fread(state, 1, sizeof state - 1, stdin);
    state[got] = 0;
    fprintf(out, "hook: %s\nstate: %s\n", argv[2], state);
    namespaces();
    limits_and_environment(argv);
    process();
    descriptors();
    fclose(out);
    return 0;
}

static void asked(const char *wish)
{
    char path[PATH_MAX];
    const char *value = strchr(wish, '=');
    value = value ? value + 1 : "";
    if (!strncmp(wish, "sysctl=", 7)) {
        snprintf(path, sizeof path, "/proc/sys/%s", value);
        for (char *p = path + 10; *p; p++)
            *p = *p == '.' ? '/' : *p;
        char section[PATH_MAX];
        snprintf(section, sizeof section, "sysctl: %s", value);
        lines(section, path, NULL);
    } else if (!strncmp(wish, "path=", 5)) {
        attempt(value, 0);
    } else if (!strncmp(wish, "write=", 6)) {
        attempt(value, 1);
    } else if (!strncmp(wish, "list=", 5)) {
        listing("list", value);
    } else if (!strcmp(wish, "fork")) {
        pid_t child = fork();
        if (!child)
            _exit(0);
        int status = -1;
        waitpid(child, &status, 0);
        fprintf(out, "call: fork %s status %d\n", result(child), status);
    } else if (!strcmp(wish, "calls")) {
        fprintf(out, "call: chmod %s\n", result(chmod("/tmp-of-probe", 0700)));
        fprintf(out, "call: getppid %ld\n", syscall(SYS_getppid) < 0 ? errno : 0L);
        fprintf(out, "call: unshare %s\n", result(unshare(CLONE_NEWUTS)));
        fprintf(out, "call: userns %s\n", result(syscall(SYS_unshare, CLONE_NEWUSER)));
        fprintf(out, "call: personality %s\n", result(personality(PER_BSD)));
        fprintf(out, "call: socket %s\n", result(socket(40 /* AF_VSOCK */, SOCK_STREAM, 0)));
        fprintf(out, "call: keyctl %s\n", result(syscall(SYS_keyctl, 0, -3, 0)));
        fprintf(out, "call: clone3 %s\n", result(syscall(SYS_clone3, NULL, 0)));
        fprintf(out, "call: mount %s\n", result(syscall(SYS_mount, "a", "/nosuch", "b", 0, 0)));
        fprintf(out, "call: bpf %s\n", result(syscall(SYS_bpf, 99, NULL, 0)));
        fprintf(out, "call: unknown %s\n", result(syscall(9999)));
    }
}

int main(int argc, char **argv)
{
    out = stdout;
    if (argc == 4 && !strcmp(argv[1], "hook"))
        return hook(argv);
    if (argc == 2 && !strcmp(argv[1], "sleep"))
        for (;;)
            pause();
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    descriptors();
    namespaces();
    process();
    lines("mount", "/proc/self/mountinfo", NULL);
    limits_and_environment(argv);
    system_wide();
    keyring();
    listing("dev", "/dev");
    int code = 0;
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "exit=", 5))
            code = atoi(argv[i] + 5);
        asked(argv[i]);
    }
    fflush(stdout);
    return code;
}
