/* SPDX-License-Identifier: Apache-2.0 */
/* malloc, calloc, realloc and free of the interpreter. All calls of its objects are renamed to
 * these (tools/static/link.sh); libc's own malloc serves libc and libseccomp, whose memory is
 * new in each process.
 *
 * In the seed, blocks come from the heap that goes into the file, and what is freed is wiped:
 * nothing that the seed has read may stay behind in it.
 * In the image, the file's blocks are never given back or used again: their pages are shared with
 * every other command and with the page cache, until one is written to. New blocks come from the
 * tail, densely, so that a short command touches few pages and makes no system call for them.
 */
#include "image.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

char *image_end = image_heap;
bool image_live;

/* Small blocks: a page holds blocks of one class. Sizes go by 16 to 512, then by quarters of a
 * power of two to 2048. Larger ones take whole pages. */
enum { FINE = 32, CLASSES = FINE + 8, SMALLEST = 16, FINEST = 512, LARGEST = 2048 };
static const uint16_t coarse[] = {640, 768, 896, 1024, 1280, 1536, 1792, 2048};

struct block {
    struct block *next;
};
static struct block *freed[CLASSES];
static char *fresh[CLASSES]; /* the rest of the last page of each class */

/* What a page holds: 0 nothing, 1 + class, or LARGE + number of pages at the first of a block, and
 * WITHIN at the others. */
enum { LARGE = 256, WITHIN = 1 << 30 };
static uint32_t kind[(HEAP_MOST + HEAP_TAIL) / PAGE];

/* Large blocks that the image has freed, by number of pages; the last list has all that are longer.
 * The seed's pages are free for everybody instead: each page that is not used is one in the file.
 */
enum { LISTS = 32 };
static struct block *freed_large[LISTS];
static size_t lowest; /* no page of the seed's before it is free */

/* A command has one thread, with rare exceptions: until there is a second one nothing is locked,
 * because a locked instruction for every block would cost create a twentieth. */
static bool threads;
static bool locked;

static void lock(void)
{
    while (threads && __atomic_exchange_n(&locked, true, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void unlock(void)
{
    if (threads)
        __atomic_store_n(&locked, false, __ATOMIC_RELEASE);
}

/* pthread_create of the interpreter, renamed like malloc. */
int image_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *),
                         void *argument)
{
    threads = true;
    return pthread_create(thread, how, run, argument);
}

static char *limit; /* of the heap: for the seed its own end, for the image the tail's */
static char *top;   /* what is not yet handed out begins here */

static bool in_file(const void *p)
{
    /* Not further: libc's brk begins somewhere behind the tail, where the kernel chose. */
    return image_live && (const char *)p >= image_heap && (const char *)p < image_end;
}

static bool in_heap(const void *p)
{
    return (const char *)p >= image_heap &&
           (const char *)p < (image_live ? limit : image_heap + HEAP_MOST);
}

static uint32_t *kind_of(const void *p)
{
    return &kind[((const char *)p - image_heap) / PAGE];
}

static int class_of(size_t size)
{
    if (size <= FINEST)
        return size ? (int)((size - 1) / SMALLEST) : 0;
    int class = FINE;
    while (coarse[class - FINE] < size)
        class ++;
    return class;
}

static size_t size_of_class(int class)
{
    return class < FINE ? (size_t)(class + 1) * SMALLEST : coarse[class - FINE];
}

/* The size that a block has, which may be more than was asked for. */
static size_t size_of(const void *p)
{
    uint32_t what = *kind_of(p);
    return what >= LARGE ? (what - LARGE) * PAGE : size_of_class((int)what - 1);
}

/* In the seed: the first pages that were given back; NULL if there are not so many together. */
static char *free_pages(size_t pages)
{
    size_t end = (size_t)(top - image_heap) / PAGE;
    size_t found = 0;
    while (lowest < end && kind[lowest])
        lowest++;
    for (size_t i = lowest; i < end; i++) {
        found = kind[i] ? 0 : found + 1;
        if (found == pages)
            return image_heap + (i + 1 - pages) * PAGE;
    }
    return NULL;
}

static void give_pages(char *p, size_t pages)
{
    size_t first = (size_t)(p - image_heap) / PAGE;
    memset(&kind[first], 0, pages * sizeof *kind);
    if (first < lowest)
        lowest = first;
}

static char *new_pages(size_t pages)
{
    if (!top) {
        top = image_heap;
        limit = image_heap + HEAP_MOST;
    }
    char *again = image_live ? NULL : free_pages(pages);
    if (again)
        return again;
    if ((size_t)(limit - top) < pages * PAGE)
        return NULL;
    char *p = top;
    top += pages * PAGE;
    if (!image_live)
        image_end = top;
    return p;
}

static void *take_small(int class)
{
    size_t size = size_of_class(class);
    struct block *p = freed[class];
    if (p) {
        freed[class] = p->next;
        return p;
    }
    char *from = fresh[class];
    /* A page's end is its last block's end or less: the next page is another's. */
    if (!from || ((uintptr_t)from % PAGE) + size > PAGE || (uintptr_t)from % PAGE == 0) {
        from = new_pages(1);
        if (!from)
            return NULL;
        *kind_of(from) = 1 + (uint32_t) class;
    }
    fresh[class] = from + size;
    return from;
}

static void *take_large(size_t pages)
{
    struct block **list = &freed_large[pages < LISTS ? pages : 0];
    for (struct block **p = list; *p; p = &(*p)->next) {
        size_t has = *kind_of(*p) - LARGE;
        if (has >= pages && has <= pages + pages / 4) {
            struct block *found = *p;
            *p = found->next;
            return found;
        }
    }
    char *p = new_pages(pages);
    for (size_t i = 1; p && !image_live && i < pages; i++)
        *kind_of(p + i * PAGE) = WITHIN;
    if (p)
        *kind_of(p) = LARGE + (uint32_t)pages;
    return p;
}

/* From the heap; NULL where it is full. */
static void *take(size_t size)
{
    if (size > HEAP_MOST)
        return NULL;
    lock();
    void *p = size <= LARGEST ? take_small(class_of(size)) : take_large((size + PAGE - 1) / PAGE);
    unlock();
    return p;
}

void *image_malloc(size_t size)
{
    void *p = take(size);
    if (p)
        return p;
    if (image_live)
        return malloc(size);
    errno = ENOMEM; /* nothing of the seed may be anywhere else */
    return NULL;
}

void *image_calloc(size_t number, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(number, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    void *p = take(bytes);
    if (p)
        return memset(p, 0, bytes);
    if (image_live)
        return calloc(number, size);
    errno = ENOMEM;
    return NULL;
}

void image_free(void *p)
{
    if (!p || in_file(p))
        return;
    if (!in_heap(p)) {
        free(p);
        return;
    }
    lock();
    size_t size = size_of(p);
    if (!image_live)
        memset(p, 0, size);
    if (size > LARGEST && !image_live) {
        give_pages(p, size / PAGE);
    } else {
        size_t pages = size / PAGE;
        struct block *block = p;
        struct block **list =
            size <= LARGEST ? &freed[class_of(size)] : &freed_large[pages < LISTS ? pages : 0];
        block->next = *list;
        *list = block;
    }
    unlock();
}

void *image_realloc(void *p, size_t size)
{
    if (!p)
        return image_malloc(size);
    if (!in_file(p) && !in_heap(p))
        return realloc(p, size);
    size_t old = size_of(p);
    /* In place, also where much is left: who makes a large buffer smaller frees it soon. Not in
     * the file, whose pages are to stay as they are. */
    if (size <= old && !in_file(p))
        return p;
    void *new = image_malloc(size);
    if (!new)
        return NULL;
    memcpy(new, p, old < size ? old : size);
    image_free(p);
    return new;
}

/* From here on the heap is the image's: what lies in it stays, and what comes goes behind it. */
void image_alloc_seal(void)
{
    /* The free blocks' links would be read, and their pages written, for nothing. */
    for (int i = 0; i < CLASSES; i++) {
        for (struct block *p = freed[i], *next; p; p = next) {
            next = p->next;
            p->next = NULL;
        }
        freed[i] = NULL;
        fresh[i] = NULL;
    }
    while (image_end > image_heap && !*kind_of(image_end - PAGE))
        image_end -= PAGE;
    top = image_end;
    limit = image_end + HEAP_TAIL;
    threads = false;
    image_live = true;
}
