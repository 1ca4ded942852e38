/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short commands without an interpreter.
 *
 * Starting Python takes longer than all that `state`, `kill`, `start`, `delete` and `ps` do, and
 * an engine calls them for each container. So `create` leaves a file `quick` in the container's
 * directory (pyrunc/lifecycle/quick.py): the answers, and the few facts that choose among them.
 * Here is no text and no rule of OCI: only the way that succeeds. Whatever is unusual - another
 * option, a paused or dead container, a file that does not fit, an errno - is left to Python,
 * before anything has been done that doing twice would spoil.
 */
#define _GNU_SOURCE
#include "quick.h"

#include "answers.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIGNALS = 64, LONGEST = 1 << 16, REMOVALS = 5 };

/* What the command line says, as far as it is the usual. */
struct line {
    const char *root, *log, *command, *id;
    char **rest; /* behind the id, NULL-terminated */
    int force, json, stats;
};

/* --- the command line --------------------------------------------------------------------- */

/* "--name VALUE" or "--name=VALUE"; how many words it is, 0 if it is another option. */
static int option(char **words, const char *name, const char **value)
{
    size_t length = strlen(name);
    if (strncmp(words[0], name, length) != 0)
        return 0;
    if (words[0][length] == '=') {
        *value = words[0] + length + 1;
        return 1;
    }
    if (words[0][length] != 0 || !words[1])
        return 0;
    *value = words[1];
    return 2;
}

static int is_id(const char *text)
{
    if (!*text || !strcmp(text, ".") || !strcmp(text, ".."))
        return 0;
    for (const char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("_+.-", *c))
            return 0;
    return strlen(text) <= NAME_MAX;
}

static int read_globals(char ***words, struct line *line)
{
    const char *form = "text", *rootless = "";
    char **at = *words;
    while (*at && (*at)[0] == '-') {
        int n = option(at, "--root", &line->root);
        if (!n)
            n = option(at, "--log-format", &form);
        if (!n)
            n = option(at, "--log", &line->log);
        if (!n && !strncmp(*at, "--rootless=", 11))
            n = option(at, "--rootless", &rootless);
        if (!n && !strcmp(*at, "--systemd-cgroup"))
            n = 1; /* whoever made the cgroup is in the file */
        if (!n)
            return -1;
        at += n;
    }
    *words = at;
    return strcmp(form, "text") && strcmp(form, "json") ? -1 : 0;
}

static int read_line(char **words, struct line *line)
{
    static const char *const known[] = {"state", "start",  "kill",  "delete",
                                        "ps",    "events", "pause", "resume"};
    const char *form = "table";
    int found = 0;
    if (read_globals(&words, line) < 0 || !*words)
        return -1;
    line->command = *words++;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        found |= !strcmp(line->command, known[i]);
    if (!found)
        return -1;
    while (*words && (*words)[0] == '-') {
        int n = 0;
        if (!strcmp(line->command, "delete") &&
            (!strcmp(*words, "--force") || !strcmp(*words, "-f")))
            n = line->force = 1;
        else if (!strcmp(line->command, "events") && !strcmp(*words, "--stats"))
            n = line->stats = 1;
        else if (!strcmp(line->command, "ps"))
            n = option(words, (*words)[1] == '-' ? "--format" : "-f", &form);
        if (!n)
            return -1;
        words += n;
    }
    line->json = !strcmp(form, "json");
    if ((!line->json && strcmp(form, "table") != 0) || !*words || !is_id(*words))
        return -1;
    line->id = *words++;
    line->rest = words;
    return 0;
}

/* The default as Python finds it, where that takes no look into /proc. */
static const char *state_root(const struct line *line)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR"), *user = getenv("USER");
    if (line->root)
        /* Python takes "." and ".." out, the kernel may follow a link first: another place. */
        return line->root[0] == '/' && !strstr(line->root, "/.") ? line->root : NULL;
    if (geteuid() != 0)
        return NULL;
    if (runtime && *runtime && !(user && !strcmp(user, "root")))
        return NULL;
    return "/run/pyrunc";
}

/* --- the commands: 1 when done, 0 when it is Python's ------------------------------------- */

static int do_state(const struct container *c)
{
    static const char *const names[] = {[LIFE_ALIVE] = "running", [LIFE_ENDED] = "stopped"};
    char pid_text[16];
    const char *part[3];
    size_t length[3];
    pid_t pid;
    struct stat st;
    enum life life = life_of(c, &pid);
    for (int i = 0; i < 3; i++) {
        char name[] = "state-0";
        name[sizeof name - 2] = (char)('0' + i);
        if (!(part[i] = value(c, name, &length[i])))
            return 0;
    }
    if (life == LIFE_UNKNOWN || (life == LIFE_ALIVE && !is_thawed(c)))
        return 0;
    const char *status = names[life];
    if (life == LIFE_ALIVE && !fstatat(c->directory, "exec.fifo", &st, AT_SYMLINK_NOFOLLOW))
        status = "created";
    snprintf(pid_text, sizeof pid_text, "%d", life == LIFE_ALIVE ? pid : 0);
    char whole[LONGEST];
    int n = snprintf(whole, sizeof whole, "%.*s%s%.*s%s%.*s", (int)length[0], part[0], pid_text,
                     (int)length[1], part[1], status, (int)length[2], part[2]);
    return n > 0 && n < (int)sizeof whole ? put(whole, (size_t)n) : 0;
}

/* What engines send; any other name is Python's to look up. */
static const struct {
    const char *name;
    int number;
} signals[] = {
    {"TERM", SIGTERM}, {"KILL", SIGKILL},   {"HUP", SIGHUP},   {"INT", SIGINT},
    {"QUIT", SIGQUIT}, {"USR1", SIGUSR1},   {"USR2", SIGUSR2}, {"STOP", SIGSTOP},
    {"CONT", SIGCONT}, {"WINCH", SIGWINCH}, {"ALRM", SIGALRM}, {"ABRT", SIGABRT},
};

/* A number, or a name in any case with or without SIG; -1 is Python's to judge. */
static int signal_number(const char *text)
{
    char name[16];
    char *end;
    if (!text)
        return SIGTERM;
    if (isdigit((unsigned char)*text)) {
        long number_of = strtol(text, &end, 10);
        return *end == 0 && number_of <= SIGNALS ? (int)number_of : -1;
    }
    size_t n = strlen(text);
    if (n >= sizeof name)
        return -1;
    for (size_t i = 0; i <= n; i++)
        name[i] = (char)toupper((unsigned char)text[i]);
    const char *bare = strncmp(name, "SIG", 3) ? name : name + 3;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (!strcmp(signals[i].name, bare))
            return signals[i].number;
    return -1;
}

static int do_kill(const struct container *c, char **rest)
{
    pid_t pid;
    int signal = signal_number(rest[0]);
    if (signal < 0 || (rest[0] && rest[1]) || life_of(c, &pid) != LIFE_ALIVE)
        return 0;
    /* SIGKILL is for all of the container, and for frozen ones after it: not always init's. */
    if (signal == SIGKILL && !(says_yes(c, "init-is-all") && is_thawed(c)))
        return 0;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    /* Asked again: before the descriptor was open the pid could change hands. */
    if (pidfd < 0 || life_of(c, &pid) != LIFE_ALIVE)
        return 0;
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0;
}

static int do_start(const struct container *c)
{
    pid_t pid;
    if (!says_yes(c, "start-is-plain") || !lock(c) || life_of(c, &pid) != LIFE_ALIVE ||
        !is_thawed(c))
        return 0;
    int fifo = openat(c->directory, "exec.fifo", O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    /* The reader may die in between: an error, not our death without a word. */
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    int written = fifo >= 0 && write(fifo, "0", 1) == 1;
    signal(SIGPIPE, before);
    if (!written)
        return 0;
    /* After the write, as start.py says why. */
    unlinkat(c->directory, "exec.fifo", 0);
    /* Until its only reader is gone: the program is executed, or dead. */
    struct pollfd reader = {.fd = fifo};
    while (poll(&reader, 1, -1) < 0 && errno == EINTR)
        ;
    return 1;
}

static int remove_cgroups(const struct container *c)
{
    size_t length;
    const char *at = value(c, "remove", &length);
    if (!at)
        return -1;
    for (const char *end = at + length; at < end;) {
        char path[PATH_MAX];
        size_t n = strcspn(at, "\n");
        if (n >= sizeof path)
            return -1;
        memcpy(path, at, n);
        path[n] = 0;
        if (rmdir(path) < 0 && errno != ENOENT)
            return -1;
        at += n + 1;
    }
    return 0;
}

/* The state first: whoever finds something missing then knows why. The journal last: it is the
 * way back for whoever comes after a kill. */
static int empty_directory(const struct container *c)
{
    DIR *names = fdopendir(fcntl(c->directory, F_DUPFD_CLOEXEC, 3));
    if (!names)
        return -1;
    rewinddir(names); /* the place in it is the original's too */
    int failed = unlinkat(c->directory, "state.json", 0) < 0 && errno != ENOENT;
    for (struct dirent *entry; (entry = readdir(names)) && !failed;)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
            strcmp(entry->d_name, "journal"))
            failed = unlinkat(c->directory, entry->d_name, 0) < 0 && errno != ENOENT;
    closedir(names);
    return failed || (unlinkat(c->directory, "journal", 0) < 0 && errno != ENOENT) ? -1 : 0;
}

static int remove_directory(const struct container *c, const char *root, const char *id)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", root, id);
    for (int i = 0; i < REMOVALS; i++) {
        if (empty_directory(c) < 0)
            return 0;
        if (rmdir(path) == 0)
            return 1;
        if (errno != ENOTEMPTY) /* whoever waited for its end may have told of it meanwhile */
            return 0;
    }
    return 0;
}

static int do_delete(const struct container *c, const char *root, const char *id)
{
    pid_t pid;
    size_t length;
    if (!value(c, "remove", &length) || !lock(c) || life_of(c, &pid) != LIFE_ENDED)
        return 0;
    return remove_cgroups(c) == 0 && remove_directory(c, root, id);
}

int quick(int argc, char **argv)
{
    struct line line = {0};
    struct container container = {-1, NULL, 0};
    if (argc < 3 || read_line(argv + 1, &line) < 0)
        return 0;
    const char *root = state_root(&line);
    if (!root || open_container(&container, root, line.id) < 0)
        return 0;
    /* runc's log file is there after any command, also one that writes nothing to it. */
    if (line.log && *line.log) {
        int log = open(line.log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
        if (log < 0)
            return 0;
        close(log);
    }
    if (!strcmp(line.command, "kill"))
        return do_kill(&container, line.rest);
    if (!strcmp(line.command, "ps"))
        return do_ps(&container, line.rest, line.json);
    if (line.rest[0])
        return 0;
    if (!strcmp(line.command, "events"))
        return line.stats && do_stats(&container, root, line.id);
    if (!strcmp(line.command, "pause"))
        return do_pause(&container);
    if (!strcmp(line.command, "resume"))
        return do_resume(&container);
    if (!strcmp(line.command, "state"))
        return do_state(&container);
    if (!strcmp(line.command, "start"))
        return do_start(&container);
    return do_delete(&container, root, line.id);
}
