/* SPDX-License-Identifier: Apache-2.0 */
/* `pause` and `resume`: which file, what to write and what it says then stands in the answers. */
#define _GNU_SOURCE
#include "answers.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A freezer takes well under a millisecond, unless something in the cgroup cannot be stopped. */
enum { LOOKS = 200, PAUSE_NS = 100000 };

static int write_row(const struct container *c, const char *row)
{
    char path[PATH_MAX];
    size_t length;
    const char *text = file_row(c, row, path, sizeof path, &length);
    int fd = text ? open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd < 0)
        return -1;
    int written = write(fd, text, length) == (ssize_t)length;
    close(fd);
    return written ? 0 : -1;
}

static int is_frozen_soon(const struct container *c)
{
    static const struct timespec pause = {.tv_nsec = PAUSE_NS};
    pid_t pid;
    for (int i = 0; i < LOOKS; i++) {
        if (file_says(c, "frozen") == SAYS_IT)
            return life_of(c, &pid) == LIFE_ALIVE;
        nanosleep(&pause, NULL);
    }
    return 0;
}

int do_pause(const struct container *c)
{
    pid_t pid;
    if (!lock(c) || life_of(c, &pid) != LIFE_ALIVE || file_says(c, "thawed") != SAYS_IT)
        return 0;
    /* Who interrupts us must not leave it frozen. */
    sigset_t ends, before;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    sigprocmask(SIG_BLOCK, &ends, &before);
    int done = write_row(c, "freeze") == 0 && is_frozen_soon(c);
    /* Else Python does it again from the start, and says what is the matter. */
    if (!done)
        write_row(c, "thawed");
    sigprocmask(SIG_SETMASK, &before, NULL);
    return done;
}

int do_resume(const struct container *c)
{
    pid_t pid;
    /* Frozen by an ancestor it is not paused: writing would do nothing. */
    if (!lock(c) || life_of(c, &pid) != LIFE_ALIVE || file_says(c, "own") != SAYS_IT)
        return 0;
    return write_row(c, "thawed") == 0;
}
