/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `pyrunc` command: the shortest way from execve to Python, and for the few commands whose
 * answer Python has left behind (quick.c) a shorter one.
 *
 * Engines call with no PATH, no HOME and no locale, and wait for the pid they spawned: so this
 * finds the interpreter by absolute path and executes it in place; it never forks. Nothing of
 * the caller's environment or directory reaches the interpreter (-I), and what it does not need
 * is not loaded (-S). Interpreter and package are those beside this file (a virtual environment,
 * /usr/local); failing that, those it was built with.
 */
#define _GNU_SOURCE
#include "quick.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#ifndef PYRUNC_PYTHON
#error "setup.py defines PYRUNC_PYTHON, PYRUNC_VERSION and PYRUNC_SOURCE"
#endif

enum { CODE_MAX = 4 * PATH_MAX };

static const char *const layouts[] = {
    "%s/lib/python" PYRUNC_VERSION "/site-packages",
    "%s/lib/python" PYRUNC_VERSION "/dist-packages",
    "%s/local/lib/python" PYRUNC_VERSION "/dist-packages",
};

static int is_package_root(const char *directory)
{
    char probe[PATH_MAX];
    int n = snprintf(probe, sizeof probe, "%s/pyrunc/pyrunc-init", directory);
    return n > 0 && n < (int)sizeof probe && access(probe, F_OK) == 0;
}

/* /prefix/bin/pyrunc -> /prefix */
static void find_prefix(char prefix[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", prefix, PATH_MAX - 1);
    prefix[n > 0 ? n : 0] = 0;
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(prefix, '/');
        if (slash)
            *slash = 0;
    }
}

static void find_package(const char *prefix, char package[PATH_MAX])
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        int n = snprintf(package, PATH_MAX, layouts[i], prefix);
        if (n > 0 && n < PATH_MAX && is_package_root(package))
            return;
    }
    snprintf(package, PATH_MAX, "%s", PYRUNC_SOURCE);
}

/* The real file behind a virtual environment's link: the environment's own configuration would
 * be read for nothing, since the package's directory is given. */
static void find_python(const char *prefix, char python[PATH_MAX])
{
    char candidate[PATH_MAX];
    int n = snprintf(candidate, sizeof candidate, "%s/bin/python" PYRUNC_VERSION, prefix);
    if (n > 0 && n < (int)sizeof candidate && realpath(candidate, python))
        return;
    snprintf(python, PATH_MAX, "%s", PYRUNC_PYTHON);
    if (access(python, X_OK) != 0)
        snprintf(python, PATH_MAX, "/usr/bin/python" PYRUNC_VERSION);
}

/* A descriptor 0, 1 or 2 that is missing would be taken by the next open, and become the
 * container's stdio or the target of an error message. */
static void fill_stdio(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

/* What Python is to run. */
static void compose(char *code, size_t size, const char *prefix, const char *package)
{
    char modules[PATH_MAX + 32];
    /* A command ends before collecting garbage pays: without it 0.3 ms less.
     * cffi's runtime lies beside the package, in the environment, or where Debian puts it. */
    int n = snprintf(code, size,
                     "import gc,sys;gc.disable();sys.path+=['%s','%s/lib/python" PYRUNC_VERSION
                     "/site-packages','/usr/lib/python3/dist-packages'];",
                     package, prefix);
    snprintf(modules, sizeof modules, "%s/pyrunc/modules-" PYRUNC_VERSION ".bin", package);
    /* 65536 is HEADER of pyrunc/boot.py. A damaged file costs time and nothing else: whatever goes
     * wrong here, the import behind it does without. */
    if (access(modules, R_OK) == 0)
        n += snprintf(code + n, size - (size_t)n,
                      "\ntry:\n import marshal;f=open('%s','rb',0);"
                      "b,*r=marshal.loads(f.read(65536));f.close();exec(b);install(f.name,*r)\n"
                      "except Exception:pass\n",
                      modules);
    snprintf(code + n, size - (size_t)n, "from pyrunc.cli.main import main;main()");
}

int main(int argc, char **argv)
{
    char prefix[PATH_MAX], package[PATH_MAX], python[PATH_MAX], code[CODE_MAX];
    if (getauxval(AT_SECURE)) {
        static const char text[] = "pyrunc: refusing to run setuid\n";
        return write(2, text, sizeof text - 1) < 0 ? 2 : 1;
    }
    fill_stdio();
    if (quick(argc, argv))
        return 0;
    find_prefix(prefix);
    find_package(prefix, package);
    find_python(prefix, python);
    if (strpbrk(package, "'\\\n") || strpbrk(prefix, "'\\\n"))
        return 1;
    compose(code, sizeof code, prefix, package);
    static const char *const options[] = {"-I", "-S", "-B", "-X", "utf8", "-c"};
    enum { OPTIONS = sizeof options / sizeof *options };
    char **args = calloc((size_t)argc + OPTIONS + 3, sizeof *args);
    if (!args)
        return 1;
    int n = 0;
    args[n++] = argc > 0 ? argv[0] : (char *)"pyrunc";
    for (int i = 0; i < OPTIONS; i++)
        args[n++] = (char *)options[i];
    args[n++] = code;
    for (int i = 1; i < argc; i++)
        args[n++] = argv[i];
    execv(python, args);
    fprintf(stderr, "pyrunc: cannot run %s: %s\n", python, strerror(errno));
    return 1;
}
