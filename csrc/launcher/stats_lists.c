/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of `events --stats` that are more than a number: lists, pairs, pressure, devices. */
#define _GNU_SOURCE
#include "stats.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS = 512 };

/* A line of a damaged list. */
static int lacks(struct writer *w, int count, int wanted)
{
    w->broken |= count < wanted;
    return count < wanted;
}

/* A NAME FILE COLUMN: the words, or a column of the lines with three words behind the first. */
void add_array(struct writer *w, char **word, int count)
{
    if (lacks(w, count, 4))
        return;
    const char *text = contents(w, word[2]);
    int column = *word[3] != '-' ? atoi(word[3]) : -1, found = 0;
    size_t before = w->used;
    add_name(w, word[1]);
    add(w, "[", 1);
    for (const char *line = text; line && *line && column >= 0;) {
        const char *end = strchrnul(line, '\n');
        char cells[3][24], more;
        char copy[96] = "";
        if (line != text && (size_t)(end - line) < sizeof copy) {
            memcpy(copy, line, (size_t)(end - line));
            if (sscanf(copy, "%23s %23s %23s %c", cells[0], cells[1], cells[2], &more) == 3) {
                add(w, ",", found++ > 0);
                add_number(w, strtoull(cells[column >= 0 && column < 3 ? column : 0], NULL, 10), 0);
            }
        }
        line = *end ? end + 1 : end;
    }
    for (const char *at = text; at && column < 0; found++) {
        char *end;
        number value = strtoull(at, &end, 10);
        if (end == at)
            break;
        add(w, ",", found > 0);
        add_number(w, value, 0);
        at = end;
    }
    add(w, "]", 1);
    if (!found)
        w->used = before;
}

/* R NAME FILE: "0-2,7" */
void add_ranges(struct writer *w, char **word, int count)
{
    if (lacks(w, count, 3))
        return;
    const char *at = contents(w, word[2]);
    size_t before = w->used;
    int found = 0;
    add_name(w, word[1]);
    add(w, "[", 1);
    while (at && isdigit((unsigned char)*at)) {
        char *end;
        number first = strtoull(at, &end, 10), last = first;
        if (*end == '-')
            last = strtoull(end + 1, &end, 10);
        if (last - first > 65536)
            w->broken = 1;
        for (number n = first; n <= last && !w->broken; n++) {
            add(w, ",", found++ > 0);
            add_number(w, n, 0);
        }
        at = *end == ',' ? end + 1 : NULL;
    }
    add(w, "]", 1);
    if (!found)
        w->used = before;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* M NAME FILE: lines of two words, sorted */
void add_map(struct writer *w, char **word, int count)
{
    char *text = count == 3 ? contents(w, word[2]) : NULL, *lines[PAIRS];
    int found = 0, negative, endless;
    if (!text)
        return;
    char *copy = strdup(text), *rest = copy;
    for (char *line; (line = strsep(&rest, "\n")) && found < PAIRS;)
        if (strchr(line, ' ') && !strchr(strchr(line, ' ') + 1, ' '))
            lines[found++] = line;
    w->broken |= found == PAIRS;
    /* "name 5" sorts before "name_more 5": a blank comes before all that a name may have. */
    qsort(lines, (size_t)found, sizeof *lines, by_text);
    if (found) {
        add_name(w, word[1]);
        add(w, "{", 1);
        for (int i = 0; i < found; i++) {
            char *blank = strchr(lines[i], ' ');
            *blank = 0;
            add_name(w, lines[i]);
            number value = parse(blank + 1, &negative, &endless);
            add_number(w, negative ? 0 : value, 0);
        }
        add(w, "}", 1);
    }
    free(copy);
}

/* 1.50 -> 1.5, 0.00 -> 0 */
static void add_short(struct writer *w, const char *name, const char *text)
{
    size_t length = strspn(text, "0123456789.");
    while (length > 1 && text[length - 1] == '0' && memchr(text, '.', length))
        length--;
    length -= length > 1 && text[length - 1] == '.';
    add_name(w, name);
    add(w, text, length);
}

/* P FILE: the lines some and full, each with avg10, avg60, avg300 and total */
void add_pressure(struct writer *w, char **word, int count)
{
    static const char *const members[] = {"avg10", "avg60", "avg300", "total"};
    const char *text = count == 2 ? contents(w, word[1]) : NULL;
    if (!text)
        return;
    add_name(w, "psi");
    add(w, "{", 1);
    for (int full = 0; full < 2; full++) {
        const char *name = full ? "full" : "some", *at = behind(text, name);
        if (!at) {
            w->broken = 1;
            return;
        }
        add_name(w, name);
        add(w, "{", 1);
        for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
            const char *end = strchrnul(at, '\n');
            at = strstr(at, members[i]);
            if (!at || at >= end || at[strlen(members[i])] != '=') {
                w->broken = 1;
                return;
            }
            add_short(w, members[i], at + strlen(members[i]) + 1);
        }
        add(w, "}", 1);
    }
    add(w, "}", 1);
}

/* One entry of a list; what is zero or empty is left out. */
static void add_entry(struct writer *w, const char *line, const char *op, size_t length,
                      number value, int *found)
{
    unsigned major, minor;
    if (sscanf(line, "%u:%u", &major, &minor) != 2)
        return;
    add(w, ",", (*found)++ > 0);
    add(w, "{", 1);
    if (major)
        add_name(w, "major"), add_number(w, major, 0);
    if (minor)
        add_name(w, "minor"), add_number(w, minor, 0);
    if (length) {
        add_name(w, "op");
        add(w, "\"", 1);
        add(w, op, length);
        add(w, "\"", 1);
    }
    if (value)
        add_name(w, "value"), add_number(w, value, 0);
    add(w, "}", 1);
}

static void add_device(struct writer *w, const char *line, const char *key_and_op, int *found)
{
    char key[32];
    const char *op = strchr(key_and_op, '='), *end = strchrnul(line, '\n');
    if (!op)
        return;
    snprintf(key, sizeof key, " %.*s=", (int)(op - key_and_op), key_and_op);
    const char *at = strstr(line, key);
    if (at && at < end)
        add_entry(w, line, op + 1, strlen(op + 1), strtoull(at + strlen(key), NULL, 10), found);
}

/* I NAME FILE KEY=OP... */
void add_devices(struct writer *w, char **word, int count)
{
    if (lacks(w, count, 3))
        return;
    const char *text = contents(w, word[2]);
    size_t before = w->used;
    int found = 0;
    add_name(w, word[1]);
    add(w, "[", 1);
    for (const char *line = text; line && *line; line += *line == '\n') {
        for (int i = 3; i < count; i++)
            add_device(w, line, word[i], &found);
        line = strchrnul(line, '\n');
    }
    add(w, "]", 1);
    if (!found)
        w->used = before;
}

/* "8:0 Read 5" or "8:0 5", not the sums at the end: 1, with the operation and the value. */
static int block_line(const char *line, char op[16], number *value)
{
    char device[32], last[24], copy[96] = "", more;
    const char *end = strchrnul(line, '\n');
    op[0] = 0;
    if ((size_t)(end - line) >= sizeof copy)
        return 0;
    memcpy(copy, line, (size_t)(end - line));
    int words = sscanf(copy, "%31s %15s %23s %c", device, op, last, &more);
    if (words < 2 || !strchr(device, ':') || !strcmp(op, "Total"))
        return 0;
    *value = strtoull(words == 3 ? last : op, NULL, 10);
    if (words != 3)
        op[0] = 0;
    return 1;
}

/* G N FILE: family N, if it is the first whose file has any entry */
void choose_family(struct writer *w, char **word, int count)
{
    const char *text = count == 3 ? contents(w, word[2]) : NULL;
    number value;
    char op[16];
    for (const char *line = text; line && *line && !w->family; line += *line == '\n') {
        if (block_line(line, op, &value))
            w->family = strtol(word[1], NULL, 10);
        line = strchrnul(line, '\n');
    }
}

/* B N NAME FILE: if family N was chosen */
void add_family(struct writer *w, char **word, int count)
{
    if (count != 4 || strtol(word[1], NULL, 10) != w->family)
        return;
    const char *text = contents(w, word[3]);
    size_t before = w->used;
    number value;
    char op[16];
    int found = 0;
    add_name(w, word[2]);
    add(w, "[", 1);
    for (const char *line = text; line && *line; line += *line == '\n') {
        if (block_line(line, op, &value))
            add_entry(w, line, op, strlen(op), value, &found);
        line = strchrnul(line, '\n');
    }
    add(w, "]", 1);
    if (!found)
        w->used = before;
}
