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

/* A value of two parts: a file's path, which is copied, and behind it a text, which is returned;
 * NULL where there is none. */
const char *file_row(const struct container *c, const char *name, char *path, size_t room,
                     size_t *length);
/* Whether a line of that file is that text; nothing is said where there is no value or file. */
enum says { SAYS_NOT, SAYS_IT, SAYS_NOTHING };
enum says file_says(const struct container *c, const char *name);
int is_thawed(const struct container *c);
/* Take the lock of the container, if it is there and nobody has it. */
int lock(const struct container *c);

/* Write an answer; half an answer ends the program, as there is no second one. */
int put(const char *data, size_t size);

/* freeze.c: 1 when done, 0 when it is Python's, with the container as it was. */
int do_pause(const struct container *c);
int do_resume(const struct container *c);
/* ps.c: 1 when done, 0 when it is Python's. */
int do_ps(const struct container *c, char **options, int json);
/* How many processes there are; -1 is Python's. */
long count_members(const struct container *c);
/* stats.c: the same. */
int do_stats(const struct container *c, const char *root, const char *id);

#endif
