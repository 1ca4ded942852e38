/* SPDX-License-Identifier: Apache-2.0 */
/* The seed: an isolated interpreter that runs a script, and writes the image if the script says so.
 *
 *     seed SCRIPT [ARGUMENT...]
 *
 * It runs the script, and then calls the function main of it.
 * PYRUNC_SEED_PATH is the only directory that it imports from. The script finds a module _image:
 *     immortalise()               makes all objects immortal that there are; how many
 *     keep(path, renew, entry)    when the script has ended, write the image, which calls these two
 */
#define PY_SSIZE_T_CLEAN
#define Py_BUILD_CORE 1
#define _GNU_SOURCE
#include "Python.h"

#include "internal/pycore_initconfig.h"
#include "internal/pycore_interp.h"
#include "internal/pycore_pathconfig.h"
#include "internal/pycore_pystate.h"
#include "internal/pycore_runtime.h"

#include "image.h"

#include <fcntl.h>
#include <unistd.h>

PyObject *PyInit__cffi_backend(void), *PyInit__core(void), *PyInit__seccomp(void);

static char *path;

static PyObject *immortalise(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    return PyLong_FromSize_t(image_immortalise());
}

static PyObject *keep(PyObject *self, PyObject *arguments)
{
    (void)self;
    const char *where;
    if (!PyArg_ParseTuple(arguments, "sOO", &where, &image_renew, &image_entry))
        return NULL;
    path = strdup(where);
    Py_INCREF(image_renew);
    Py_INCREF(image_entry);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"immortalise", immortalise, METH_NOARGS, NULL},
    {"keep", keep, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_image", .m_size = -1,
                                    .m_methods = methods};

static PyObject *init_image(void)
{
    return PyModule_Create(&module);
}

/* Stacks of Python's frames, which it takes from here rather than from malloc. */
void *image_malloc(size_t size);
void image_free(void *p);

static void *take(void *unused, size_t size)
{
    (void)unused;
    return image_malloc(size);
}

static void give(void *unused, void *p, size_t size)
{
    (void)unused;
    (void)size;
    image_free(p);
}

static void check(PyStatus status)
{
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

static void start_python(int argc, char **argv)
{
    PyObjectArenaAllocator arenas = {NULL, take, give};
    PyObject_SetArenaAllocator(&arenas);
    PyImport_AppendInittab("_image", init_image);
    PyImport_AppendInittab("_cffi_backend", PyInit__cffi_backend);
    PyImport_AppendInittab("pyrunc.kernel._core", PyInit__core);
    PyImport_AppendInittab("pyrunc.kernel._seccomp", PyInit__seccomp);

    /* As the plain command has it: nothing of the caller's environment, UTF-8 everywhere. */
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    check(Py_PreInitialize(&before));
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.site_import = 0;
    config.write_bytecode = 0;
    config.optimization_level = 2;
    config.code_debug_ranges = 0;
    config.pathconfig_warnings = 0;
    config.parse_argv = 0;
    config.install_signal_handlers = 1;
    /* The same in every build, so that two builds are the same; SECURITY.md tells what it means. */
    config.use_hash_seed = 1;
    config.hash_seed = 1;
    /* No path of the build, and no path of this host to be looked into. */
    PyConfig_SetString(&config, &config.home, L"/");
    PyConfig_SetString(&config, &config.prefix, L"/");
    PyConfig_SetString(&config, &config.exec_prefix, L"/");
    PyConfig_SetString(&config, &config.executable, L"");
    PyConfig_SetString(&config, &config.program_name, L"pyrunc");
    PyConfig_SetString(&config, &config.stdlib_dir, L"");
    config.module_search_paths_set = 1;
    check(PyWideStringList_Append(&config.module_search_paths, L"/proc/self/fd/50"));
    check(PyConfig_SetBytesArgv(&config, argc, argv));
    check(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
}

/* Where names, variables and streams of the builder's are of other lengths and kinds, Python takes
 * other blocks for them while it starts, and all that follows lies elsewhere: two builds would
 * differ in every address. So it sees the same each time. */
static void start_python_alike(int argc, char **argv)
{
    enum { STREAMS = 3, DIRECTORY = 50 };
    int kept[STREAMS], null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int here = open(".", O_PATH | O_CLOEXEC);
    if (dup2(open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC), DIRECTORY) < 0 || chdir("/")) {
        perror(argv[1]);
        _exit(1);
    }
    clearenv();
    for (int fd = 0; fd < STREAMS; fd++) {
        kept[fd] = fcntl(fd, F_DUPFD_CLOEXEC, STREAMS);
        if (kept[fd] < 0 || dup2(null, fd) < 0)
            Py_FatalError("seed: needs its standard streams");
    }
    start_python(argc - 3, argv + 3);
    for (int fd = 0; fd < STREAMS; fd++) {
        dup2(kept[fd], fd);
        close(kept[fd]);
    }
    if (fchdir(here))
        Py_FatalError("seed: cannot go back to its directory");
    close(here);
    close(null);
}

int image_build(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: seed DIRECTORY SCRIPT [ARGUMENT...]\n");
        return 2;
    }
    start_python_alike(argc, argv);
    FILE *script = fopen(argv[2], "r");
    if (!script) {
        perror(argv[2]);
        return 1;
    }
    int failed = PyRun_SimpleFile(script, "seed");
    fclose(script);
    /* Called from here, when the parser has given its memory back. */
    PyObject *names = PyModule_GetDict(PyImport_AddModule("__main__"));
    PyObject *function = PyDict_GetItemString(names, "main");
    PyObject *done = failed || !function ? NULL : PyObject_CallNoArgs(function);
    if (!done)
        PyErr_Print();
    if (!done || !path)
        return done ? Py_FinalizeEx() : 1;
    PyDict_Clear(names);
    PySys_SetObject("argv", PyList_New(0));
    PySys_SetObject("orig_argv", PyList_New(0));
#ifdef TRAIN
    /* For the compiler (tools/static/libraries.sh): the counts are what this seed was run for. */
    extern void __gcov_dump(void);
    __gcov_dump();
    _exit(0);
#endif
    image_thread = PyThreadState_Get();
    /* As before a fork: no lock is held that the other side cannot renew. */
    PyOS_BeforeFork();
    memset(image_thread->datastack_top, 0,
           (size_t)((char *)image_thread->datastack_limit - (char *)image_thread->datastack_top));
    /* Numbers that are addresses of this thread's. */
    _PyRuntime.main_thread = 0;
    image_thread->interp->imports.lock.thread = 0;
    image_thread->thread_id = image_thread->native_thread_id = 0;
    /* The start's own copies of arguments and paths. */
    _Py_ClearArgcArgv();
    _PyPathConfig_ClearGlobal();
    PyConfig *config = (PyConfig *)_PyInterpreterState_GetConfig(image_thread->interp);
    _PyWideStringList_Clear(&config->argv);
    _PyWideStringList_Clear(&config->orig_argv);
    _PyWideStringList_Clear(&config->module_search_paths);
    char *target = path;
    path = NULL; /* libc's memory */
    if (image_scan()) {
        fprintf(stderr, "image: not written: it would lead out of itself\n");
        return 1;
    }
    image_write(target);
}
