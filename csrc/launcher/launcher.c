/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `pyrunc` command: the shortest way from execve to Python, and for the few commands whose
 * answer Python has left behind (quick.c) a shorter one.
 *
 * Engines call with no PATH, no HOME and no locale, and wait for the pid they spawned: so this
 * finds the interpreter by absolute path and executes it in place; it never forks. Nothing of
 * the caller's environment or directory reaches the interpreter (-I), and what it does not need
 * is not loaded (-S). Interpreter and package are those of this file's own installation (place.c).
 */
#define _GNU_SOURCE
#include "place.h"
#include "quick.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef PYRUNC_PYTHON
#error "setup.py defines PYRUNC_PYTHON and PYRUNC_VERSION"
#endif

enum { CODE_MAX = 6 * PATH_MAX };

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

/* Python does not start with a directory as one of its streams; the container may have it. So it
 * waits elsewhere until Python is up, and what stands there in its place is the word for that. */
static int put_directories_aside(char *code, size_t size)
{
    struct stat st;
    int n = 0;
    code[0] = 0;
    for (int fd = 0; fd <= 2; fd++) {
        if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
            continue;
        /* Out of the way of --preserve-fds, where it is gone before anybody looks. */
        int aside = fcntl(fd, F_DUPFD_CLOEXEC, 200), null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (aside < 0)
            aside = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (aside < 0 || null < 0 || dup2(null, fd) < 0 || fcntl(aside, F_SETFD, 0) < 0)
            return -1;
        close(null);
        n += snprintf(code + n, size - (size_t)n, "posix.dup2(%d,%d);posix.close(%d);", aside, fd,
                      aside);
    }
    return n;
}

/* What Python is to run. */
static void compose(char *code, size_t size, const char *package, const char *others,
                    const char *first)
{
    char modules[PATH_MAX + 32];
    /* A command ends before collecting garbage pays: without it 0.3 ms less. Who types ^C before
     * main() is there to say so gets no traceback. */
    int n = snprintf(code, size,
                     "import gc,posix,sys;sys.excepthook=lambda k,e,t:posix._exit(130)if k is "
                     "KeyboardInterrupt else sys.__excepthook__(k,e,t);"
                     "%sgc.disable();sys.path+=['%s',%s"
                     "'/usr/lib/python3/dist-packages'];",
                     first, package, others);
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
    char prefix[PATH_MAX], package[PATH_MAX], python[PATH_MAX], code[CODE_MAX], first[256];
    char others[2 * PATH_MAX + 16];
    if (getauxval(AT_SECURE)) {
        static const char text[] = "pyrunc: refusing to run setuid\n";
        return write(2, text, sizeof text - 1) < 0 ? 2 : 1;
    }
    fill_stdio();
    if (quick(argc, argv))
        return 0;
    find_prefix(prefix);
    if (find_package(prefix, package) < 0)
        return 1;
    find_others(prefix, others, sizeof others);
    find_python(prefix, python);
    if (strpbrk(package, "'\\\n") || strpbrk(prefix, "'\\\n")) {
        fprintf(stderr, "pyrunc: a quote, a backslash or a line break in the path %s\n", package);
        return 1;
    }
    if (put_directories_aside(first, sizeof first) < 0) {
        fprintf(stderr, "pyrunc: no descriptor left: %s\n", strerror(errno));
        return 1;
    }
    compose(code, sizeof code, package, others, first);
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
