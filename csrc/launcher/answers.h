/* SPDX-License-Identifier: Apache-2.0 */
/* One container's directory, and what Python has written into its file `quick`. */
#ifndef PYRUNC_ANSWERS_H
#define PYRUNC_ANSWERS_H

#include <stddef.h>
#include <sys/types.h>

struct container {
    int directory;
    char *data;
    size_t size;
};

enum life { LIFE_UNKNOWN, LIFE_ALIVE, LIFE_ENDED };

/* All of an open or named file, with a NUL behind it; NULL where that fails. */
char *read_all(int fd, size_t *size);
char *read_file(int directory, const char *name, size_t *size);

/* -1 where there is no file, or not one that is ours and belongs to the state.json beside it. */
int open_container(struct container *c, const char *root, const char *id);
const char *value(const struct container *c, const char *name, size_t *length);
/* The value as a path; -1 where there is none. */
int path_value(const struct container *c, const char *name, char *path, size_t room);
int says_yes(const struct container *c, const char *name);

enum life life_of(const struct container *c, pid_t *pid);
int is_thawed(const struct container *c);

/* Write an answer; half an answer ends the program, as there is no second one. */
int put(const char *data, size_t size);

/* ps.c: 1 when done, 0 when it is Python's. */
int do_ps(const struct container *c, char **options, int json);
/* How many processes there are; -1 is Python's. */
long count_members(const struct container *c);
/* stats.c: the same. */
int do_stats(const struct container *c, const char *root, const char *id);

#endif
