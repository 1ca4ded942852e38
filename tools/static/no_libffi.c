/* SPDX-License-Identifier: Apache-2.0 */
/* cffi's backend names libffi, for functions whose types are known at run time only. Ours are
 * compiled (API mode), so nothing of it is ever called, and it is not linked.
 */
#include <ffi.h>
#include <stdlib.h>

#define TYPE(name, size, kind) ffi_type ffi_type_##name = {size, size, kind, NULL}
TYPE(void, 1, FFI_TYPE_VOID);
TYPE(uint8, 1, FFI_TYPE_UINT8);
TYPE(sint8, 1, FFI_TYPE_SINT8);
TYPE(uint16, 2, FFI_TYPE_UINT16);
TYPE(sint16, 2, FFI_TYPE_SINT16);
TYPE(uint32, 4, FFI_TYPE_UINT32);
TYPE(sint32, 4, FFI_TYPE_SINT32);
TYPE(uint64, 8, FFI_TYPE_UINT64);
TYPE(sint64, 8, FFI_TYPE_SINT64);
TYPE(float, 4, FFI_TYPE_FLOAT);
TYPE(double, 8, FFI_TYPE_DOUBLE);
TYPE(longdouble, 16, FFI_TYPE_LONGDOUBLE);
TYPE(pointer, 8, FFI_TYPE_POINTER);

/* Answered as a failure, which cffi turns into an exception. */
ffi_status ffi_prep_cif(ffi_cif *cif, ffi_abi abi, unsigned int nargs, ffi_type *result,
                        ffi_type **arguments)
{
    (void)cif, (void)abi, (void)nargs, (void)result, (void)arguments;
    return FFI_BAD_ABI;
}

ffi_status ffi_prep_cif_var(ffi_cif *cif, ffi_abi abi, unsigned int fixed, unsigned int nargs,
                            ffi_type *result, ffi_type **arguments)
{
    (void)cif, (void)abi, (void)fixed, (void)nargs, (void)result, (void)arguments;
    return FFI_BAD_ABI;
}

ffi_status ffi_prep_closure_loc(ffi_closure *closure, ffi_cif *cif,
                                void (*run)(ffi_cif *, void *, void **, void *), void *data,
                                void *code)
{
    (void)closure, (void)cif, (void)run, (void)data, (void)code;
    return FFI_BAD_ABI;
}

ffi_status ffi_prep_closure(ffi_closure *closure, ffi_cif *cif,
                            void (*run)(ffi_cif *, void *, void **, void *), void *data)
{
    (void)closure, (void)cif, (void)run, (void)data;
    return FFI_BAD_ABI;
}

void *ffi_closure_alloc(size_t size, void **code)
{
    (void)size, (void)code;
    return NULL;
}

void ffi_closure_free(void *closure)
{
    (void)closure;
}

void ffi_call(ffi_cif *cif, void (*function)(void), void *result, void **arguments)
{
    (void)cif, (void)function, (void)result, (void)arguments;
    abort(); /* it has no cif that it could be called with */
}
