/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a container: those in its cgroup, and what ps(1) says of them. */
#define _GNU_SOURCE
#include "answers.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEPTH = 32 };

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
    if (path_value(c, "members", path, sizeof path) < 0)
        return -1;
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return directory < 0 ? -1 : add_members(directory, pids, DEPTH);
}

long count_members(const struct container *c)
{
    struct pids pids = {0};
    long count = members(c, &pids) < 0 ? -1 : (long)pids.count;
    free(pids.at);
    return count;
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

int do_ps(const struct container *c, char **rest, int json)
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
