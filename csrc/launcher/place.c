/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the launcher's own installation has what it needs: relative to the launcher's file, never
 * elsewhere. A path that was compiled in, such as that of a build in a temporary directory, is
 * one that anybody could make again, with code of his own for root to run.
 */
#define _GNU_SOURCE
#include "place.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const layouts[] = {
    "%s/lib/python" PYRUNC_VERSION "/site-packages",
    "%s/lib64/python" PYRUNC_VERSION "/site-packages",
    "%s/lib/python" PYRUNC_VERSION "/dist-packages",
    "%s/lib64/python" PYRUNC_VERSION "/dist-packages",
    "%s/local/lib/python" PYRUNC_VERSION "/dist-packages",
    "%s", /* pip install --target: bin/ stands beside the package */
};

static int is_package_root(const char *directory)
{
    char probe[PATH_MAX];
    int n = snprintf(probe, sizeof probe, "%s/pyrunc/pyrunc-init", directory);
    return n > 0 && n < (int)sizeof probe && access(probe, F_OK) == 0;
}

void find_prefix(char prefix[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", prefix, PATH_MAX - 1);
    prefix[n > 0 ? n : 0] = 0;
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(prefix, '/');
        if (slash)
            *slash = 0;
    }
}

/* Whether that user could put another launcher here anyway. */
static int owns_launcher(uid_t uid)
{
    char path[PATH_MAX];
    struct stat st;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    for (char *slash; (slash = strrchr(path, '/')); *slash = 0) /* none in "(unreachable)" */
        if (stat(path, &st) == 0 && st.st_uid == uid)
            return 1;
    return 0;
}

/* Who may write there decides what runs. A group's members only where the launcher is theirs too:
 * a virtual environment that was made with umask 002. */
static int is_trusted(const char *path)
{
    struct stat st, own;
    if (stat(path, &st) < 0 || stat("/proc/self/exe", &own) < 0)
        return 0;
    if (st.st_mode & S_IWOTH || (st.st_mode & S_IWGRP && st.st_gid != 0 && st.st_gid != own.st_gid))
        return 0;
    return st.st_uid == 0 || st.st_uid == geteuid() || owns_launcher(st.st_uid);
}

/* A source tree that is used as it is (pip install -e, make build) is named by a file. */
static int find_source(const char *prefix, char package[PATH_MAX])
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/share/pyrunc/source", prefix);
    if (n < 0 || n >= (int)sizeof path || access(path, R_OK) < 0 || !is_trusted(path))
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, package, PATH_MAX - 1);
    if (fd >= 0)
        close(fd);
    package[size > 0 ? size : 0] = 0;
    package[strcspn(package, "\n")] = 0;
    /* Without links: whoever made one at the path of a build that is gone could turn it elsewhere
     * once what it leads to has been found to be ours. */
    if (*package != '/' || !realpath(package, path))
        return 0;
    snprintf(package, PATH_MAX, "%s", path);
    return is_package_root(package);
}

static int is_installed(const char *prefix, char package[PATH_MAX])
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        int n = snprintf(package, PATH_MAX, layouts[i], prefix);
        if (n > 0 && n < PATH_MAX && is_package_root(package))
            return 1;
    }
    return find_source(prefix, package);
}

int find_package(const char *prefix, char package[PATH_MAX])
{
    char inner[PATH_MAX + sizeof "/pyrunc"];
    if (!is_installed(prefix, package)) {
        fprintf(stderr,
                "pyrunc: the package is not below %s, where this command is: install both with "
                "pip; do not copy the command\n",
                prefix);
        return -1;
    }
    snprintf(inner, sizeof inner, "%s/pyrunc", package);
    const char *bad = !is_trusted(package) ? package : !is_trusted(inner) ? inner : NULL;
    if (bad)
        fprintf(stderr, "pyrunc: %s belongs to others or may be written by others: refused\n", bad);
    return bad ? -1 : 0;
}

/* cffi's runtime lies beside the package, in the environment, or where Debian puts it. */
void find_others(const char *prefix, char *text, size_t size)
{
    char path[PATH_MAX];
    size_t used = 0;
    *text = 0;
    for (size_t i = 0; i < 2; i++) { /* the two of pip's */
        int n = snprintf(path, sizeof path, layouts[i], prefix);
        if (n > 0 && n < (int)sizeof path && is_trusted(path))
            used += (size_t)snprintf(text + used, size - used, "'%s',", path);
    }
}

/* The real file behind a virtual environment's link: the environment's own configuration would
 * be read for nothing, since the package's directory is given. */
void find_python(const char *prefix, char python[PATH_MAX])
{
    char candidate[PATH_MAX];
    int n = snprintf(candidate, sizeof candidate, "%s/bin/python" PYRUNC_VERSION, prefix);
    if (n > 0 && n < (int)sizeof candidate && realpath(candidate, python))
        return;
    snprintf(python, PATH_MAX, "%s", PYRUNC_PYTHON);
    if (access(python, X_OK) != 0)
        snprintf(python, PATH_MAX, "/usr/bin/python" PYRUNC_VERSION);
}
