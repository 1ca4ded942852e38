/* SPDX-License-Identifier: Apache-2.0 */
/* The file `quick` of a container, and the facts that choose among its answers. */
#define _GNU_SOURCE
#include "answers.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT "pyrunc-quick-1"
enum { LARGEST = 1 << 20, STATE_FIELD = 3, START_FIELD = 22 };

char *read_all(int fd, size_t *size)
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

char *read_file(int directory, const char *name, size_t *size)
{
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *data = read_all(fd, size);
    close(fd);
    return data;
}

/* The file is a list of "NAME LENGTH\n", that many bytes, "\n". NULL where there is no such. */
const char *value(const struct container *c, const char *name, size_t *length)
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

static int is_this_boot(const struct container *c)
{
    char now[64];
    size_t length;
    const char *then = value(c, "boot", &length);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, now, sizeof now);
    if (fd >= 0)
        close(fd);
    return then && n > (ssize_t)length && length > 0 && !memcmp(then, now, length);
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
    /* On a disk it outlives a reboot, and the pid in it then may be anybody's. */
    if (!is_this_boot(c))
        return 0;
    return st.st_ino == inode && (unsigned long long)st.st_mtim.tv_sec == seconds &&
           (unsigned long long)st.st_mtim.tv_nsec == nanoseconds;
}

int open_container(struct container *c, const char *root, const char *id)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/%s", root, id);
    if (n < 0 || n >= (int)sizeof path)
        return -1;
    /* Whose state root is believed is Python's to say, in roots.py; this is the usual one. */
    if (stat(root, &st) < 0 || st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
        return -1;
    c->directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (c->directory < 0 || fstat(c->directory, &st) < 0 || st.st_uid != geteuid() ||
        st.st_mode & (S_IWGRP | S_IWOTH))
        return -1;
    c->data = read_file(c->directory, "quick", &c->size);
    return c->data && fits(c) ? 0 : -1;
}

/* The same pid with the same start (pid reuse), as status.py asks. */
enum life life_of(const struct container *c, pid_t *pid)
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

const char *file_row(const struct container *c, const char *name, char *path, size_t room,
                     size_t *length)
{
    const char *text = value(c, name, length);
    const char *end = text ? memchr(text, '\n', *length) : NULL;
    if (!end || (size_t)(end - text) >= room)
        return NULL;
    memcpy(path, text, (size_t)(end - text));
    path[end - text] = 0;
    *length -= (size_t)(end + 1 - text);
    return end + 1;
}

enum says file_says(const struct container *c, const char *name)
{
    char path[PATH_MAX];
    size_t length, size;
    const char *text = file_row(c, name, path, sizeof path, &length);
    if (!text)
        return value(c, name, &length) ? SAYS_NOT : SAYS_NOTHING;
    char *data = read_file(AT_FDCWD, path, &size);
    if (!data)
        return errno == ENOENT || errno == ENODEV ? SAYS_NOTHING : SAYS_NOT;
    enum says found = SAYS_NOT;
    for (const char *line = data; found == SAYS_NOT && *line; line += strcspn(line, "\n")) {
        line += *line == '\n';
        if (strcspn(line, "\n") == length && !memcmp(line, text, length))
            found = SAYS_IT;
    }
    free(data);
    return found;
}

/* Also where there is no freezer, or no cgroup any more. */
int is_thawed(const struct container *c)
{
    return file_says(c, "thawed") != SAYS_NOT;
}

int lock(const struct container *c)
{
    struct stat st;
    return flock(c->directory, LOCK_EX | LOCK_NB) == 0 &&
           fstatat(c->directory, "state.json", &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int says_yes(const struct container *c, const char *name)
{
    unsigned long long is;
    return number(c, name, &is) == 0 && is == 1;
}

int path_value(const struct container *c, const char *name, char *path, size_t room)
{
    size_t length;
    const char *text = value(c, name, &length);
    if (!text || length >= room)
        return -1;
    memcpy(path, text, length);
    path[length] = 0;
    return 0;
}

int put(const char *data, size_t size)
{
    const char *begin = data;
    while (size > 0) {
        ssize_t n = write(1, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 && data == begin)
            return 0; /* Python tries again, and says why not */
        if (n <= 0) {
            perror("write to standard output"); /* half an answer is out: no second one */
            exit(1);
        }
        data += n;
        size -= (size_t)n;
    }
    return 1;
}
