/* SPDX-License-Identifier: Apache-2.0 */
/* The command as an image of its own initialised interpreter: docs/static.md tells how and why.
 *
 * One program, twice. The seed (image_live is 0) starts Python, imports the command, and writes
 * itself again with the interpreter's memory filled in. The image (image_live is 1) is that copy:
 * the kernel maps it at execve as the seed left it, and main() goes on from there.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <stdbool.h>
#include <stddef.h>

/* The heap of the image, a section of the file at an address of its own (heap.c). The seed may
 * fill so much of it; the image's file holds what was used. */
#define HEAP_MOST (64ul << 20)
/* What the image may take beyond that before it asks libc: zero pages, which the kernel adds to
 * the last segment of the file and which cost nothing until they are touched. */
#define HEAP_TAIL (8ul << 20)
#define PAGE 4096ul

extern char image_heap[HEAP_MOST];
extern char *image_end; /* where the heap's used part ends; fixed once the image is written */
extern bool image_live;

/* The data and the zeroed data of all that belongs to the interpreter. tools/static/link.sh
 * gathers them in sections of these names, and the linker marks where they begin and end. */
extern char __start_pydata[], __stop_pydata[], __start_pybss[], __stop_pybss[];

struct stretch {
    char *from, *to;
};
/* The three stretches of memory that the image keeps: data, zeroed data, heap. */
enum { STRETCHES = 3 };
void image_stretches(struct stretch stretches[STRETCHES]);

/* alloc.c: malloc and its like, as the interpreter's objects call them. */
void image_alloc_seal(void);

/* words.c */
char *image_strerror(int number);

/* immortal.c: counts of all objects are written no more. Returns how many there are. */
size_t image_immortalise(void);

/* scan.c: addresses that lead out of the image, one line each on stderr. Returns how many. */
size_t image_scan(void);

/* write.c: this process's executable with the stretches filled in. Ends the process. */
void image_write(const char *path) __attribute__((noreturn));
/* Ends the process with a line if its file is not as long as it was written. */
void image_refuse_cut_file(void);

/* seed.c and renew.c: the two ways through main(). */
int image_build(int argc, char **argv);
int image_run(int argc, char **argv);
/* What build leaves to run: called with the lists of arguments, variables and ignored signals. */
struct _object;
extern struct _object *image_renew, *image_entry;
extern struct _ts *image_thread;

#endif
