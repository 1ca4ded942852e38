/* SPDX-License-Identifier: Apache-2.0 */
/* The container's program: its environment, the search for it, the wait for start, execve. */
#define _GNU_SOURCE
#include "init.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PASSWD_LINES = 1 << 16, HIGHEST_OF_OURS = 4096 };

/* The home directory in one line of passwd, name:x:uid:gid:gecos:home:shell, if it is uid's. */
static const char *home_in(char *line, unsigned long uid)
{
    char *field[7], *end;
    int n = 0;
    for (char *rest = line; n < 7 && rest; n++)
        field[n] = strsep(&rest, ":");
    if (n < 6 || !isdigit((unsigned char)field[2][0]))
        return NULL;
    unsigned long id = strtoul(field[2], &end, 10);
    return *end == 0 && id == uid && field[5][0] ? field[5] : NULL;
}

/* No NSS: the image's libraries must not run in here (CVE-2019-14271). The file is the image's,
 * so it may be anything: only a regular one is read, and only so far. */
static const char *find_home(const char *passwd, unsigned long uid)
{
    static char line[4096];
    struct stat st;
    int fd = open_in_root(passwd, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return NULL;
    FILE *file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? fdopen(fd, "r") : NULL;
    if (!file) {
        close(fd);
        return NULL;
    }
    const char *home = NULL;
    for (int i = 0; !home && i < PASSWD_LINES && fgets(line, sizeof line, file); i++) {
        line[strcspn(line, "\n")] = 0;
        home = home_in(line, uid);
    }
    fclose(file);
    return home;
}

STEP(environment)
{
    static char variable[4096 + 8];
    init.environment = strings(s, s->variables);
    const char *passwd = TEXT(s, passwd);
    if (!passwd || !init.environment[0])
        return 0;
    const char *home = find_home(passwd, (unsigned long)s->uid);
    if (!home)
        return 0;
    snprintf(variable, sizeof variable, "HOME=%s", home);
    init.arena[-2] = variable; /* the last one, before the terminator */
    return 0;
}

static int runnable(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return -1;
    if (S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return -1;
    }
    /* access(2) ignores the capabilities of an unprivileged user, which execve does not. It comes
     * first all the same: a filter that is already in force may not know the newer call. */
    if (access(path, X_OK) < 0 &&
        (errno != EACCES || syscall(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS) < 0)) {
        if (errno == ENOSYS || errno == EPERM)
            errno = EACCES;
        return -1;
    }
    if (S_ISREG(st.st_mode) && (st.st_mode & 0111) == 0) { /* root passes access() without */
        errno = EACCES;
        return -1;
    }
    return 0;
}

/* The loader's name is kept for execve's ENOENT: a filter may by then forbid to look. */
static int found(uint64_t loader)
{
    if (loader && lacks_loader(init.program) && loader == PR_LOADER_CHECK_REFUSE)
        return refuse(PR_WHY_NO_LOADER, 0);
    return 0;
}

STEP(find_program)
{
    init.arguments = strings(s, s->args);
    const char *name = init.arguments[0];
    if (strchr(name, '/')) {
        if (strlen(name) >= sizeof init.program)
            return fail_with(PR_CALL_STAT, ENAMETOOLONG, 0);
        strcpy(init.program, name);
        if (runnable(name) < 0)
            return fail(errno == ENOENT ? PR_CALL_STAT : PR_CALL_EXECVE);
        return found(s->loader);
    }
    for (const char *at = TEXT(s, path); name[0] && at && *at;) {
        int length = (int)strcspn(at, ":");
        int written = snprintf(init.program, sizeof init.program, "%.*s%s%s", length, at,
                               length ? "/" : "./", name);
        if (written > 0 && (size_t)written < sizeof init.program && runnable(init.program) == 0)
            return found(s->loader);
        at += length;
        at += *at == ':';
    }
    return fail_with(PR_CALL_EXECVE, ENOENT, 0);
}

STEP(send_directory)
{
    int fd = open(TEXT(s, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(PR_CALL_OPEN);
    int done = send_message(PR_MSG_DIRECTORY, 0, fd) < 0 ? fail(PR_CALL_SENDMSG) : await_go();
    close(fd);
    return done;
}

STEP(inherit_descriptors)
{
    for (uint64_t i = 0; i < s->count && s->first + i < init.plan.header->registers; i++)
        if (reg(s->first + i) >= 0 && fcntl(reg(s->first + i), F_SETFD, 0) < 0)
            return fail(PR_CALL_FCNTL);
    return 0;
}

/* What is left open is neither a directory nor executable: args[0] may name /proc/self/fd/N. */
STEP(close_descriptors)
{
    (void)s;
    unsigned first = init.plan.header->first_fd;
    unsigned sync = (unsigned)reg(PR_REG_SYNC), last = first + PR_REG_FIFO;
    /* first_fd is the plan, then sync, then the fifo: fixed registers, in this order. A process
     * that joins a container waits for no start, and has no fifo. */
    if (sync != first + PR_REG_SYNC ||
        (reg(PR_REG_FIFO) >= 0 && (unsigned)reg(PR_REG_FIFO) != last))
        return refuse(PR_WHY_BAD_PLAN, 0);
    if (syscall(SYS_close_range, last + 1, ~0u, 0) < 0)
        for (unsigned fd = last + 1; fd <= last + HIGHEST_OF_OURS; fd++)
            close((int)fd); /* an older profile, already in force, may not know close_range */
    for (uint32_t i = 0; i < init.plan.header->registers; i++)
        if (i != PR_REG_SYNC && i != PR_REG_FIFO)
            init.registers[i] = -1;
    close((int)first);
    return 0;
}

/* The fifo is open for reading and writing, so it never ends; one byte is the start. */
STEP(wait_start)
{
    (void)s;
    char byte;
    ssize_t n;
    set_reg(PR_REG_SYNC, -1);
    do
        n = read(reg(PR_REG_FIFO), &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        return 0;
    say("wait for start: read: %s", strerror(errno));
    return fail(PR_CALL_READ);
}

STEP(execute)
{
    (void)s;
    execve(init.program, init.arguments, init.environment);
    const char *error = strerror(errno);
    int first = tolower((unsigned char)error[0]);
    if (errno == ENOENT && init.text[0])
        say("exec %s: its loader %s: %c%s", init.program, init.text, first, error + 1);
    else
        say("exec %s: %c%s", init.program, first, error + 1);
    _exit(EXIT_NOT_STARTED);
}
