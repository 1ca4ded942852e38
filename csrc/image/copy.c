/* SPDX-License-Identifier: Apache-2.0 */
/* memcpy of the interpreter, renamed like malloc (alloc.c). musl's is `rep movsq`, which takes some
 * thirty cycles to begin; most of what Python copies is shorter than a line of text.
 */
/* The compiler would make `rep movsq` of the loop again. */
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#include "image.h"

#include <string.h>

enum { WORD = 8, VECTOR = 16, SHORT = 256 };

void *image_memcpy(void *restrict to, const void *restrict from, size_t size)
{
    char *target = to;
    const char *source = from;
    if (size > SHORT)
        return memcpy(to, from, size);
    /* Of sizes that the compiler knows, each is a load and a store; the last overlaps those before.
     */
    if (size >= VECTOR) {
        for (size_t at = 0; at + VECTOR <= size; at += VECTOR)
            __builtin_memcpy(target + at, source + at, VECTOR);
        __builtin_memcpy(target + size - VECTOR, source + size - VECTOR, VECTOR);
    } else if (size >= WORD) {
        __builtin_memcpy(target, source, WORD);
        __builtin_memcpy(target + size - WORD, source + size - WORD, WORD);
    } else if (size >= 4) {
        __builtin_memcpy(target, source, 4);
        __builtin_memcpy(target + size - 4, source + size - 4, 4);
    } else if (size) {
        target[0] = source[0];
        target[size / 2] = source[size / 2];
        target[size - 1] = source[size - 1];
    }
    return to;
}
