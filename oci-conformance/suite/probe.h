// SPDX-License-Identifier: Apache-2.0
// How the probe says what it finds: one line an answer, control characters escaped.

#ifndef PROBE_H
#define PROBE_H

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *label = "program";

static void begin(const char *question)
{
    printf("%s\t%s\t", label, question);
}

static void put_escaped(const char *text)
{
    for (; *text; text++)
        if (*text == '\n')
            fputs("\\n", stdout);
        else if (*text == '\\')
            fputs("\\\\", stdout);
        else if (*text == '\t')
            fputs("\\t", stdout);
        else
            putchar(*text);
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    static char text[16384];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put_escaped(text);
    putchar('\n');
}

static void say_error(void)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {{EPERM, "EPERM"},   {ENOENT, "ENOENT"},   {EACCES, "EACCES"}, {EROFS, "EROFS"},
                 {EEXIST, "EEXIST"}, {ENOTDIR, "ENOTDIR"}, {EINVAL, "EINVAL"}, {ENOSYS, "ENOSYS"},
                 {ENXIO, "ENXIO"},   {ENODEV, "ENODEV"},   {EISDIR, "EISDIR"}, {EBUSY, "EBUSY"},
                 {ELOOP, "ELOOP"},   {EXDEV, "EXDEV"},     {EMFILE, "EMFILE"}, {EAGAIN, "EAGAIN"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == errno) {
            say("%s", names[i].name);
            return;
        }
    say("errno %d", errno);
}

static void say_file(const char *path)
{
    static char text[8192];
    FILE *in = fopen(path, "re");
    if (!in) {
        say_error();
        return;
    }
    size_t got = fread(text, 1, sizeof text - 1, in);
    text[got] = 0;
    fclose(in);
    say("%s", text);
}

static void say_status(const char *key)
{
    char line[4096];
    FILE *in = fopen("/proc/self/status", "re");
    while (in && fgets(line, sizeof line, in)) {
        size_t length = strlen(key);
        if (strncmp(line, key, length) || line[length] != ':')
            continue;
        char *value = line + length + 1;
        value += strspn(value, " \t");
        value[strcspn(value, "\n")] = 0;
        say("%s", value);
        fclose(in);
        return;
    }
    say("ENOENT");
}

/// The uppermost mount at a path: "root options optional-fields - type source super-options".
static void say_mount(const char *path)
{
    char line[4096], found[4096] = "none";
    FILE *in = fopen("/proc/self/mountinfo", "re");
    while (in && fgets(line, sizeof line, in)) {
        char root[1024], point[1024];
        int end = 0;
        if (sscanf(line, "%*d %*d %*s %1023s %1023s %n", root, point, &end) < 2 ||
            strcmp(point, path))
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(found, sizeof found, "%.1000s %.3000s", root, line + end);
    }
    if (in)
        fclose(in);
    say("%s", found);
}

static int by_name(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static void say_list(const char *path)
{
    static char *names[1024], text[16384];
    size_t count = 0, used = 0;
    DIR *in = opendir(path);
    if (!in) {
        say_error();
        return;
    }
    int own = dirfd(in);
    for (struct dirent *entry; count < 1024 && (entry = readdir(in));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
            !(strstr(path, "/fd") && atoi(entry->d_name) == own))
            names[count++] = strdup(entry->d_name);
    closedir(in);
    qsort(names, count, sizeof *names, by_name);
    text[0] = 0;
    for (size_t i = 0; i < count && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, i ? " %s" : "%s", names[i]);
    say("%s", text);
}

static void say_strings(char **strings)
{
    static char text[16384];
    size_t used = 0;
    text[0] = 0;
    for (; *strings && used < sizeof text; strings++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s\n", *strings);
    say("%s", text);
}

#endif
