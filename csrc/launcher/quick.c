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

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORMAT "pyrunc-quick-1"
enum { LARGEST = 1 << 20, STATE_FIELD = 3, START_FIELD = 22, SIGNALS = 64, DEPTH = 32 };

/* What the command line says, as far as it is the usual. */
struct line {
    const char *root, *log, *command, *id;
    char **rest; /* behind the id, NULL-terminated */
    int force, json;
};

/* One container's directory and what is written in its file. */
struct container {
    int directory;
    char *data;
    size_t size;
};

enum life { LIFE_UNKNOWN, LIFE_ALIVE, LIFE_ENDED };

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
    static const char *const known[] = {"state", "start", "kill", "delete", "ps"};
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
        return line->root[0] == '/' ? line->root : NULL;
    if (geteuid() != 0)
        return NULL;
    if (runtime && *runtime && !(user && !strcmp(user, "root")))
        return NULL;
    return "/run/pyrunc";
}

/* --- the file ----------------------------------------------------------------------------- */

static char *read_all(int fd, size_t *size)
{
    size_t room = 1 << 14, used = 0;
    char *data = malloc(room + 1);
    while (data) {
        ssize_t n = read(fd, data + used, room - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || used + (size_t)n > LARGEST)
            break;
        if (n == 0) {
            data[used] = 0;
            *size = used;
            return data;
        }
        used += (size_t)n;
        if (used == room) {
            char *larger = realloc(data, (room *= 2) + 1);
            if (!larger)
                break;
            data = larger;
        }
    }
    free(data);
    return NULL;
}

static char *read_file(int directory, const char *name, size_t *size)
{
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *data = read_all(fd, size);
    close(fd);
    return data;
}

/* The file is a list of "NAME LENGTH\n", that many bytes, "\n". NULL where there is no such. */
static const char *value(const struct container *c, const char *name, size_t *length)
{
    const char *at = c->data, *end = c->data + c->size;
    while (at < end) {
        char *behind;
        const char *blank = memchr(at, ' ', (size_t)(end - at));
        if (!blank)
            return NULL;
        unsigned long size = strtoul(blank + 1, &behind, 10);
        if (*behind != '\n' || size >= (unsigned long)(end - behind) || behind[1 + size] != '\n')
            return NULL;
        if ((size_t)(blank - at) == strlen(name) && !memcmp(at, name, strlen(name))) {
            *length = size;
            return behind + 1;
        }
        at = behind + size + 2;
    }
    return NULL;
}

static int number(const struct container *c, const char *name, unsigned long long *result)
{
    size_t length;
    const char *text = value(c, name, &length);
    char *end;
    if (!text || !isdigit((unsigned char)*text))
        return -1;
    *result = strtoull(text, &end, 10);
    return end == text + length ? 0 : -1;
}

/* Ours alone, and written for the state.json that is there: an older or edited one is Python's. */
static int fits(const struct container *c)
{
    unsigned long long inode, seconds, nanoseconds;
    size_t length;
    struct stat st;
    const char *format = value(c, "format", &length);
    if (!format || length != strlen(FORMAT) || memcmp(format, FORMAT, length) != 0)
        return 0;
    if (number(c, "inode", &inode) < 0 || number(c, "seconds", &seconds) < 0 ||
        number(c, "nanoseconds", &nanoseconds) < 0)
        return 0;
    if (fstatat(c->directory, "state.json", &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return st.st_ino == inode && (unsigned long long)st.st_mtim.tv_sec == seconds &&
           (unsigned long long)st.st_mtim.tv_nsec == nanoseconds;
}

static int open_container(struct container *c, const char *root, const char *id)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/%s", root, id);
    if (n < 0 || n >= (int)sizeof path)
        return -1;
    c->directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (c->directory < 0 || fstat(c->directory, &st) < 0 || st.st_uid != geteuid() ||
        st.st_mode & (S_IWGRP | S_IWOTH))
        return -1;
    c->data = read_file(c->directory, "quick", &c->size);
    return c->data && fits(c) ? 0 : -1;
}

/* --- what is true now --------------------------------------------------------------------- */

/* The same pid with the same start (pid reuse), as status.py asks. */
static enum life life_of(const struct container *c, pid_t *pid)
{
    unsigned long long wanted, start, number_of;
    char path[64], *data, *at;
    size_t size;
    enum life life = LIFE_UNKNOWN;
    if (number(c, "pid", &number_of) < 0 || number(c, "start-time", &wanted) < 0)
        return LIFE_UNKNOWN;
    *pid = (pid_t)number_of;
    snprintf(path, sizeof path, "/proc/%d/stat", *pid);
    data = read_file(AT_FDCWD, path, &size);
    if (!data)
        return errno == ENOENT || errno == ESRCH ? LIFE_ENDED : LIFE_UNKNOWN;
    /* The name in parentheses may hold anything, also parentheses. */
    at = strrchr(data, ')');
    if (at && at[1] == ' ') {
        char state = at[2];
        for (int field = STATE_FIELD - 1; at && field < START_FIELD; field++)
            at = strchr(at + 1, ' ');
        if (at && sscanf(at, "%llu", &start) == 1)
            life = start == wanted && !strchr("ZX", state) ? LIFE_ALIVE : LIFE_ENDED;
    }
    free(data);
    return life;
}

/* Whether the cgroup is not frozen: the file is gone, or says what the thawed one says. */
static int is_thawed(const struct container *c)
{
    char path[PATH_MAX], *data;
    size_t length, size;
    const char *text = value(c, "thawed", &length);
    const char *end = text ? memchr(text, '\n', length) : NULL;
    if (!text)
        return 1;
    if (!end || (size_t)(end - text) >= sizeof path)
        return 0;
    memcpy(path, text, (size_t)(end - text));
    path[end - text] = 0;
    data = read_file(AT_FDCWD, path, &size);
    if (!data)
        return errno == ENOENT || errno == ENODEV;
    size_t rest = length - (size_t)(end + 1 - text);
    int same = size >= rest && !memcmp(data, end + 1, rest) && (size == rest || data[rest] == '\n');
    free(data);
    return same;
}

static int says_yes(const struct container *c, const char *name)
{
    unsigned long long is;
    return number(c, name, &is) == 0 && is == 1;
}

/* --- the commands: 1 when done, 0 when it is Python's ------------------------------------- */

static int put(const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(1, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            exit(1); /* half an answer is out: no second one */
        data += n;
        size -= (size_t)n;
    }
    return 1;
}

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
    char whole[LARGEST / 16];
    int n = snprintf(whole, sizeof whole, "%.*s%s%.*s%s%.*s", (int)length[0], part[0], pid_text,
                     (int)length[1], part[1], status, (int)length[2], part[2]);
    return n > 0 && n < (int)sizeof whole ? put(whole, (size_t)n) : 0;
}

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
    for (int s = 1; s < SIGNALS; s++) {
        const char *known = sigabbrev_np(s);
        if (known && !strcmp(known, bare))
            return s;
    }
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

static int lock(const struct container *c)
{
    struct stat st;
    return flock(c->directory, LOCK_EX | LOCK_NB) == 0 &&
           fstatat(c->directory, "state.json", &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int do_start(const struct container *c)
{
    pid_t pid;
    if (!says_yes(c, "start-is-plain") || !lock(c) || life_of(c, &pid) != LIFE_ALIVE ||
        !is_thawed(c))
        return 0;
    int fifo = openat(c->directory, "exec.fifo", O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fifo < 0 || write(fifo, "0", 1) != 1)
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

/* The journal last: it is the way back for whoever comes after a kill. */
static int remove_directory(const struct container *c, const char *root, const char *id)
{
    char path[PATH_MAX];
    DIR *names = fdopendir(fcntl(c->directory, F_DUPFD_CLOEXEC, 3));
    if (!names)
        return 0;
    int failed = 0;
    for (struct dirent *entry; (entry = readdir(names)) && !failed;)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
            strcmp(entry->d_name, "journal"))
            failed = unlinkat(c->directory, entry->d_name, 0) < 0 && errno != ENOENT;
    closedir(names);
    snprintf(path, sizeof path, "%s/%s", root, id);
    if (failed || (unlinkat(c->directory, "journal", 0) < 0 && errno != ENOENT))
        return 0;
    return rmdir(path) == 0;
}

static int do_delete(const struct container *c, const char *root, const char *id)
{
    pid_t pid;
    size_t length;
    if (!value(c, "remove", &length) || !lock(c) || life_of(c, &pid) != LIFE_ENDED)
        return 0;
    return remove_cgroups(c) == 0 && remove_directory(c, root, id);
}

/* --- ps ----------------------------------------------------------------------------------- */

struct pids {
    long *at;
    size_t count, room;
};

static int add_members(int directory, struct pids *pids, int depth)
{
    struct stat st;
    size_t size;
    char *data = read_file(directory, "cgroup.procs", &size);
    if (!data) /* a threaded one, or one that is going */
        return -1;
    for (char *at = data, *end; *at; at = end + (*end == '\n')) {
        long pid = strtol(at, &end, 10);
        if (end == at)
            break;
        if (pids->count == pids->room) {
            long *larger = realloc(pids->at, (pids->room = pids->room * 2 + 64) * sizeof(long));
            if (!larger) {
                free(data);
                return -1;
            }
            pids->at = larger;
        }
        if (pid) /* 0: outside of our pid namespace */
            pids->at[pids->count++] = pid;
    }
    free(data);
    /* A cgroup's link count is 2 plus its sub-cgroups. */
    if (fstat(directory, &st) < 0 || (st.st_nlink > 2 && depth == 0))
        return -1;
    DIR *names = st.st_nlink > 2 ? fdopendir(fcntl(directory, F_DUPFD_CLOEXEC, 3)) : NULL;
    int failed = 0;
    for (struct dirent *entry; names && (entry = readdir(names)) && !failed;) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        int below = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        failed = below < 0 || add_members(below, pids, depth - 1) < 0;
        if (below >= 0)
            close(below);
    }
    if (names)
        closedir(names);
    return failed ? -1 : 0;
}

static int members(const struct container *c, struct pids *pids)
{
    char path[PATH_MAX];
    size_t length;
    const char *text = value(c, "members", &length);
    if (!text || length >= sizeof path)
        return -1;
    memcpy(path, text, length);
    path[length] = 0;
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return directory < 0 ? -1 : add_members(directory, pids, DEPTH);
}

static int list_pids(const struct pids *pids)
{
    size_t room = pids->count * 24 + 16, used = 0;
    char *text = malloc(room);
    if (!text || pids->count == 0)
        return 0;
    for (size_t i = 0; i < pids->count; i++)
        used += (size_t)snprintf(text + used, room - used, "%c%ld", i ? ',' : '[', pids->at[i]);
    memcpy(text + used, "]\n", 2);
    return put(text, used + 2);
}

/* The output of ps(1), or NULL where it fails: Python then runs it again, and words it. */
static char *run_ps(char **options, size_t *size)
{
    static const char *const standard[] = {"ps", "-ef", NULL};
    int ends[2], status, count = 0;
    while (options[count])
        count++;
    const char **args = calloc((size_t)count + 2, sizeof *args);
    if (!args || pipe2(ends, O_CLOEXEC) < 0)
        return NULL;
    args[0] = "ps";
    memcpy(args + 1, options, (size_t)count * sizeof *args);
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(ends[1], 1) >= 0 && dup2(ends[1], 2) >= 0)
            execvp("ps", (char *const *)(count ? args : standard));
        _exit(127);
    }
    close(ends[1]);
    char *data = pid < 0 ? NULL : read_all(ends[0], size);
    close(ends[0]);
    if (pid > 0 && (waitpid(pid, &status, 0) < 0 || status != 0)) {
        free(data);
        return NULL;
    }
    return data;
}

/* The word in that column, and its length. */
static const char *word(const char *line, const char *end, int column, size_t *length)
{
    for (const char *at = line; at < end;) {
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        const char *start = at;
        while (at < end && *at != ' ' && *at != '\t')
            at++;
        if (at > start && column-- == 0) {
            *length = (size_t)(at - start);
            return start;
        }
    }
    return NULL;
}

static int pid_column(const char *line, const char *end)
{
    size_t length;
    const char *title;
    for (int column = 0; (title = word(line, end, column, &length)); column++)
        if (length == 3 && !memcmp(title, "PID", 3))
            return column;
    return -1;
}

static int is_one_of(const char *text, size_t length, const struct pids *pids)
{
    char *end;
    long pid = strtol(text, &end, 10);
    if (end != text + length)
        return -1;
    for (size_t i = 0; i < pids->count; i++)
        if (pids->at[i] == pid)
            return 1;
    return 0;
}

static int do_ps(const struct container *c, char **rest, int json)
{
    struct pids pids = {NULL, 0, 0};
    size_t size, used = 0, length;
    int column = -1;
    if (members(c, &pids) < 0)
        return 0;
    if (json)
        return list_pids(&pids);
    char *data = run_ps(rest, &size);
    if (!data)
        return 0;
    /* What is kept moves to the front: the header and the container's rows. */
    for (char *line = data, *next; line < data + size; line = next) {
        char *end = memchr(line, '\n', size - (size_t)(line - data));
        next = end ? end + 1 : data + size;
        if (!end)
            end = next;
        if (line == data) {
            column = pid_column(line, end);
            if (column < 0)
                return 0;
        } else if (end > line) {
            const char *text = word(line, end, column, &length);
            int is = text ? is_one_of(text, length, &pids) : -1;
            if (is < 0)
                return 0;
            if (!is)
                continue;
        } else
            continue;
        memmove(data + used, line, (size_t)(next - line));
        used += (size_t)(next - line);
    }
    return put(data, used);
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
    if (!strcmp(line.command, "state"))
        return do_state(&container);
    if (!strcmp(line.command, "start"))
        return do_start(&container);
    return do_delete(&container, root, line.id);
}
