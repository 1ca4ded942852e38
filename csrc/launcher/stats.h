/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of `events --stats` share: the text that is written, and the files. */
#ifndef PYRUNC_STATS_H
#define PYRUNC_STATS_H

#include "answers.h"

#include <limits.h>
#include <stddef.h>

enum { DEEP = 8, HIERARCHIES = 32, ROOM = 1 << 17 };
typedef unsigned long long number;

struct writer {
    char text[ROOM];
    size_t used;
    size_t opened[DEEP]; /* where an object begins that goes if it stays empty; else ROOM */
    int depth;
    const char *directories[HIERARCHIES];
    int hierarchies;
    const struct container *container;
    const char *id, *layout;
    char *data; /* of the file read last, and its name: many lines are about one file */
    char name[PATH_MAX];
    long family; /* of lists of block devices, the first that has any; 0 none */
    int broken;  /* it is Python's */
};

void add(struct writer *w, const char *text, size_t size);
void add_number(struct writer *w, number value, int negative);
void add_name(struct writer *w, const char *name);
/* The file "N/NAME" of hierarchy N; NULL where there is none. */
char *contents(struct writer *w, const char *file);
/* The number at the start of a text; "max" is the largest. */
number parse(const char *text, int *negative, int *endless);
/* The value behind a key that begins a line, or the text itself for "-"; or NULL. */
const char *behind(const char *text, const char *key);

/* stats_lists.c: one for each kind of line, with its words. */
void add_array(struct writer *w, char **word, int count);
void add_ranges(struct writer *w, char **word, int count);
void add_map(struct writer *w, char **word, int count);
void add_pressure(struct writer *w, char **word, int count);
void add_devices(struct writer *w, char **word, int count);
void choose_family(struct writer *w, char **word, int count);
void add_family(struct writer *w, char **word, int count);

#endif
