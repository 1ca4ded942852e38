/* SPDX-License-Identifier: Apache-2.0 */
/* The image at work: renews what belongs to the process, and calls Python.
 *
 * For Python the process that reads the image is what a fork's child is: another process that has
 * the memory of one which called fork. So the seed leaves off where PyOS_BeforeFork() does, and
 * CPython's own PyOS_AfterFork_Child() renews its locks, its thread and what modules have
 * registered with os.register_at_fork (the state of `random`, the threads that `threading` knows).
 * What a fork keeps and an execve does not is done here and in tools/static/renew.py.
 */
#define PY_SSIZE_T_CLEAN
#define Py_BUILD_CORE 1
#include "Python.h"

#include "internal/pycore_interp.h"
#include "internal/pycore_pystate.h"
#include "internal/pycore_runtime.h"

#include "image.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

extern char **environ;

PyThreadState *image_thread;
PyObject *image_renew, *image_entry;

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

static void renew_thread(void)
{
    /* Thread-local data is libc's, and new. */
    _Py_tss_tstate = image_thread;
    image_thread->thread_id = PyThread_get_thread_ident();
    /* This process has made no keys yet, so there are none to delete. */
    _PyRuntime.autoTSSkey._is_initialized = 0;
    _PyRuntime.trashTSSkey._is_initialized = 0;
    PyOS_AfterFork_Child();
    PyThread_tss_set(&_PyRuntime.autoTSSkey, image_thread);
}

/* Python lets C call itself 10,000 times, as of the usual stack of 8 MB: a document of brackets
 * would end the process where the caller has less. */
static void bound_recursion(void)
{
    enum { LEVEL = 512 }; /* bytes; the reader of JSON takes 160 */
    struct rlimit stack;
    if (getrlimit(RLIMIT_STACK, &stack))
        return;
    rlim_t levels = stack.rlim_cur / LEVEL;
    if (levels < (rlim_t)image_thread->c_recursion_remaining)
        image_thread->c_recursion_remaining = (int)levels;
}

static PyObject *argument_list(int argc, char **argv)
{
    PyObject *list = PyList_New(argc);
    for (int i = 0; list && i < argc; i++) {
        PyObject *argument = PyUnicode_DecodeFSDefault(argv[i]);
        if (!argument)
            return NULL;
        PyList_SET_ITEM(list, i, argument);
    }
    return list;
}

static PyObject *variable_list(void)
{
    PyObject *list = PyList_New(0);
    for (char **variable = environ; list && *variable; variable++) {
        PyObject *bytes = PyBytes_FromString(*variable);
        if (!bytes || PyList_Append(list, bytes))
            return NULL;
        Py_DECREF(bytes);
    }
    return list;
}

/* Python asks the kernel once, when _signal is imported. */
static PyObject *ignored_signals(void)
{
    PyObject *list = PyList_New(0);
    for (int number = 1; list && number < NSIG; number++) {
        struct sigaction now;
        if (sigaction(number, NULL, &now) || now.sa_handler != SIG_IGN)
            continue;
        PyObject *integer = PyLong_FromLong(number);
        if (!integer || PyList_Append(list, integer))
            return NULL;
        Py_DECREF(integer);
    }
    return list;
}

int image_run(int argc, char **argv)
{
    if (getauxval(AT_SECURE)) {
        static const char text[] = "pyrunc: refusing to run setuid\n";
        return write(STDERR_FILENO, text, sizeof text - 1) < 0 ? 2 : 1;
    }
    image_refuse_cut_file();
    fill_stdio();
    renew_thread();
    bound_recursion();
    PyObject *done = PyObject_CallFunction(image_renew, "NNN", argument_list(argc, argv),
                                           variable_list(), ignored_signals());
    if (done)
        done = PyObject_CallNoArgs(image_entry);
    /* The entry ends the process itself. */
    PyErr_Print();
    return 1;
}

int main(int argc, char **argv)
{
    return image_live ? image_run(argc, argv) : image_build(argc, argv);
}
