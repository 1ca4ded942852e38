/* SPDX-License-Identifier: Apache-2.0 */
/* Makes every object that the image holds immortal (PEP 683): its reference count is written no
 * more. Without this each command would write to the count of whatever it uses, and the kernel
 * would copy each of those pages for it: twice the page faults of `create`.
 *
 * The walk goes by what objects tell the collector of themselves (tp_traverse), and by hand through
 * the few kinds that do not tell. An object that it misses keeps an ordinary count: that costs the
 * copy of a page, no more.
 */
#define PY_SSIZE_T_CLEAN
#define Py_BUILD_CORE 1
#include "Python.h"

#include "internal/pycore_interp.h"
#include "internal/pycore_object.h"

#include "image.h"

/* One bit for each 16 bytes, which no two objects share. */
enum { GRAIN = 16 };
static struct {
    unsigned char *seen[STRETCHES];
    PyObject **waiting;
    size_t number, room, made;
} walk;

/* A visitproc. This file's memory is libc's: not of the image, and given back (link.sh). */
static int visit(PyObject *object, void *unused)
{
    (void)unused;
    struct stretch stretches[STRETCHES];
    image_stretches(stretches);
    char *at = (char *)object;
    for (int i = 0; object && i < STRETCHES; i++) {
        if (at < stretches[i].from || at >= stretches[i].to)
            continue;
        size_t bit = (size_t)(at - stretches[i].from) / GRAIN;
        if (walk.seen[i][bit / 8] & 1 << bit % 8)
            return 0;
        walk.seen[i][bit / 8] |= (unsigned char)(1 << bit % 8);
        /* This very number: Py_INCREF leaves it alone, and would write any other. */
        object->ob_refcnt = _Py_IMMORTAL_REFCNT;
        walk.made++;
        if (walk.number == walk.room) {
            walk.room = walk.room * 2 + 4096;
            walk.waiting = realloc(walk.waiting, walk.room * sizeof *walk.waiting);
            if (!walk.waiting)
                Py_FatalError("immortal: no memory");
        }
        walk.waiting[walk.number++] = object;
    }
    return 0;
}

/* For PyUnstable_GC_VisitObjects, which goes on while it is told 1. */
static int visit_root(PyObject *object, void *unused)
{
    visit(object, unused);
    return 1;
}

static void visit_code(PyCodeObject *code)
{
    PyObject *parts[] = {
        code->co_consts,
        code->co_names,
        code->co_exceptiontable,
        code->co_localsplusnames,
        code->co_localspluskinds,
        code->co_filename,
        code->co_name,
        code->co_qualname,
        code->co_linetable,
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(parts); i++)
        visit(parts[i], NULL);
}

/* A type of C's tells nothing of itself. */
static void visit_type(PyTypeObject *type)
{
    PyObject *members = PyType_GetDict(type);
    visit(members, NULL);
    Py_XDECREF(members);
    visit(type->tp_mro, NULL);
    visit(type->tp_bases, NULL);
    visit((PyObject *)type->tp_base, NULL);
    PyObject *below = PyObject_CallMethod((PyObject *)&PyType_Type, "__subclasses__", "O", type);
    for (Py_ssize_t i = 0; below && i < PyList_GET_SIZE(below); i++)
        visit(PyList_GET_ITEM(below, i), NULL);
    Py_XDECREF(below);
    PyErr_Clear();
}

static void visit_parts(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    visit((PyObject *)type, NULL);
    if (PyCode_Check(object)) {
        visit_code((PyCodeObject *)object);
        return;
    }
    if (PyDict_Check(object)) {
        /* A dictionary of names does not tell of its keys. */
        PyObject *key, *value;
        for (Py_ssize_t at = 0; PyDict_Next(object, &at, &key, &value);)
            visit(key, NULL);
    }
    if (PyType_Check(object)) {
        visit_type((PyTypeObject *)object);
        if (!(((PyTypeObject *)object)->tp_flags & Py_TPFLAGS_HEAPTYPE))
            return;
    }
    if (type->tp_traverse && PyObject_IS_GC(object))
        type->tp_traverse(object, visit, NULL);
}

size_t image_immortalise(void)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    struct stretch stretches[STRETCHES];
    image_stretches(stretches);
    walk.made = 0;
    for (int i = 0; i < STRETCHES; i++) {
        walk.seen[i] = calloc(1, (size_t)(stretches[i].to - stretches[i].from) / GRAIN / 8 + 1);
        if (!walk.seen[i])
            Py_FatalError("immortal: no memory");
    }
    PyUnstable_GC_VisitObjects(visit_root, NULL);
    /* The collector forgets what is immortal: the second walk finds it from here. */
    visit(interpreter->sysdict, NULL);
    visit(interpreter->builtins, NULL);
    visit(PyImport_GetModuleDict(), NULL);
    visit(PyInterpreterState_GetDict(interpreter), NULL);
    visit((PyObject *)&PyBaseObject_Type, NULL);
    while (walk.number)
        visit_parts(walk.waiting[--walk.number]);
    for (int i = 0; i < STRETCHES; i++) {
        free(walk.seen[i]);
        walk.seen[i] = NULL;
    }
    free(walk.waiting);
    walk.waiting = NULL;
    walk.room = 0;
    return walk.made;
}
