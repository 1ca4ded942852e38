/* SPDX-License-Identifier: Apache-2.0 */
/* `events --stats` from the list that Python has written for this host (observe/quick_stats.py
 * has what its lines mean). No member, file or scale is named here. */
#define _GNU_SOURCE
#include "answers.h"
#include "stats.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT "pyrunc-stats-1\n"
enum { WORDS = 16 };

void add(struct writer *w, const char *text, size_t size)
{
    if (size >= ROOM - w->used) {
        w->broken = 1;
        return;
    }
    memcpy(w->text + w->used, text, size);
    w->used += size;
}

void add_number(struct writer *w, number value, int negative)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%s%llu", negative ? "-" : "", value);
    add(w, text, (size_t)n);
}

void add_name(struct writer *w, const char *name)
{
    char last = w->used ? w->text[w->used - 1] : 0;
    if (last != '{' && last != '[')
        add(w, ",", 1);
    add(w, "\"", 1);
    add(w, name, strlen(name));
    add(w, "\":", 2);
}

/* The file "N/NAME" of hierarchy N; NULL where there is none. What cannot be read is Python's. */
char *contents(struct writer *w, const char *file)
{
    char path[PATH_MAX], *end;
    size_t size;
    if (!strcmp(file, "-"))
        return NULL;
    if (!strcmp(file, w->name))
        return w->data;
    long index = strtol(file, &end, 10);
    if (end == file || *end != '/' || index < 0 || index >= w->hierarchies ||
        strlen(file) >= sizeof w->name) {
        w->broken = 1;
        return NULL;
    }
    snprintf(path, sizeof path, "%s%s", w->directories[index], end);
    free(w->data);
    errno = 0;
    w->data = read_file(AT_FDCWD, path, &size);
    snprintf(w->name, sizeof w->name, "%s", file);
    if (!w->data && errno != ENOENT && errno != ENODEV && errno != EOPNOTSUPP)
        w->broken = 1;
    return w->data;
}

/* The number at the start of a text; "max" is the largest, less than nothing is nothing. */
number parse(const char *text, int *negative, int *endless)
{
    char *end;
    while (isspace((unsigned char)*text))
        text++;
    *endless = !strncmp(text, "max", 3);
    *negative = *text == '-';
    number value = *endless ? UINT64_MAX : strtoull(text + *negative, &end, 10);
    return value;
}

/* The value behind a key that begins a line, or the text itself for "-". */
const char *behind(const char *text, const char *key)
{
    size_t length = strlen(key);
    if (!strcmp(key, "-"))
        return text;
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, key, length) && line[length] == ' ')
            return line + length + 1;
    }
    return NULL;
}

static number read_number(struct writer *w, const char *file, const char *key, int *negative,
                          int *endless)
{
    const char *text = contents(w, file);
    const char *at = text ? behind(text, key) : NULL;
    *negative = *endless = 0;
    return at ? parse(at, negative, endless) : 0;
}

/* N NAME FLAGS SCALE FILE KEY [FILE] */
static void add_member(struct writer *w, char **word, int count)
{
    int negative, endless, second_negative, second_endless = 0;
    if (count < 6) {
        w->broken = 1;
        return;
    }
    number scale = strtoull(word[3], NULL, 10);
    number value = read_number(w, word[4], word[5], &negative, &endless);
    if (count > 6) {
        int there = contents(w, word[4]) != NULL;
        value += read_number(w, word[6], "-", &second_negative, &second_endless);
        if (strchr(word[2], 'g') && !there)
            value = 0, endless = second_endless = 0;
        else if (endless || second_endless)
            value = UINT64_MAX, endless = 1;
    }
    if (negative && !strchr(word[2], 'i'))
        value = 0;
    if (endless && strchr(word[2], 'z'))
        value = 0;
    else if (!endless)
        value *= scale;
    if (!value && strchr(word[2], 's'))
        return;
    add_name(w, word[1]);
    add_number(w, value, negative && value);
}

static void open_object(struct writer *w, const char *name, int optional)
{
    size_t before = w->used;
    if (w->depth == DEEP || !name) {
        w->broken = 1;
        return;
    }
    add_name(w, name);
    add(w, "{", 1);
    w->opened[w->depth++] = optional ? before : ROOM;
}

static void close_object(struct writer *w)
{
    if (w->depth == 0) {
        w->broken = 1;
        return;
    }
    size_t before = w->opened[--w->depth];
    if (before < ROOM && w->text[w->used - 1] == '{')
        w->used = before;
    else
        add(w, "}", 1);
}

/* K NAME FILE */
static void add_count(struct writer *w, char **word, int count)
{
    long members = count == 3 && !contents(w, word[2]) ? count_members(w->container) : -1;
    if (members < 0) {
        w->broken = 1;
        return;
    }
    add_name(w, word[1]);
    add_number(w, (number)members, 0);
}

static void run_line(struct writer *w, char *line)
{
    char *word[WORDS + 1] = {NULL};
    int count = 0;
    if (line[0] == 'L' && line[1] == ' ') {
        add(w, line + 2, strlen(line + 2));
        return;
    }
    for (char *at; (at = strsep(&line, " ")) && count < WORDS;)
        word[count++] = at;
    switch (word[0] && strlen(word[0]) == 1 ? word[0][0] : 0) {
    case 'H': /* for hosts whose hierarchies are these */
        w->broken |= !word[1] || strcmp(word[1], w->layout);
        break;
    case 'D':
        add(w, w->id, strlen(w->id));
        break;
    case 'O':
    case 'S':
        open_object(w, word[1], word[0][0] == 'S');
        break;
    case 'C':
        close_object(w);
        break;
    case 'N':
        add_member(w, word, count);
        break;
    case 'A':
        add_array(w, word, count);
        break;
    case 'R':
        add_ranges(w, word, count);
        break;
    case 'M':
        add_map(w, word, count);
        break;
    case 'P':
        add_pressure(w, word, count);
        break;
    case 'I':
        add_devices(w, word, count);
        break;
    case 'G':
        choose_family(w, word, count);
        break;
    case 'B':
        add_family(w, word, count);
        break;
    case 'K':
        add_count(w, word, count);
        break;
    case 'X':
        if (count != 2 || !contents(w, word[1]))
            w->broken = 1;
        break;
    default:
        w->broken = 1;
    }
}

/* The list is a file of the state root, whose permissions protect it as the containers'. */
static char *read_list(const char *root)
{
    char path[PATH_MAX];
    struct stat st;
    size_t size;
    int n = snprintf(path, sizeof path, "%s/:stats", root);
    if (n < 0 || n >= (int)sizeof path)
        return NULL;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *data = NULL;
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH)))
        data = read_all(fd, &size);
    close(fd);
    if (data && strncmp(data, FORMAT, strlen(FORMAT)) != 0) {
        free(data);
        return NULL;
    }
    return data;
}

int do_stats(const struct container *c, const char *root, const char *id)
{
    static struct writer w;
    static char directories[1 << 16], layout[4096];
    pid_t pid;
    char *list = read_list(root), *rest = directories, *line;
    if (!list || life_of(c, &pid) != LIFE_ALIVE ||
        path_value(c, "directories", directories, sizeof directories) < 0 ||
        path_value(c, "layout", layout, sizeof layout) < 0)
        return 0;
    w.container = c;
    w.layout = layout;
    while ((line = strsep(&rest, "\n")) && *line && w.hierarchies < HIERARCHIES)
        w.directories[w.hierarchies++] = line;
    w.id = id;
    rest = list + strlen(FORMAT);
    while ((line = strsep(&rest, "\n")) && !w.broken)
        if (*line)
            run_line(&w, line);
    add(&w, "\n", 1);
    return !w.broken && w.depth == 0 ? put(w.text, w.used) : 0;
}
