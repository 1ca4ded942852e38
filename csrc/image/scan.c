/* SPDX-License-Identifier: Apache-2.0 */
/* Finds addresses in the image that lead out of it: to the stack, to thread-local data, to libc's
 * heap, to anything the kernel mapped for the seed. In another process something else is there.
 * Whatever happens to look like such an address is taken for one.
 */
#include "image.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { MAPPINGS = 128 };
struct mapping {
    uintptr_t from, to;
    char what[64];
};

extern char _end[]; /* of the program's data, where the linker ends it (end(3)) */

/* All mappings but the program's own, which has the same addresses in every process: libc's data
 * begins anew there, and what is renewed with it, such as a thread's number, is the same. */
static int read_mappings(struct mapping mappings[MAPPINGS])
{
    FILE *file = fopen("/proc/self/maps", "r");
    if (!file)
        return -1;
    char line[512], program[256] = "";
    int number = 0;
    while (number < MAPPINGS && fgets(line, sizeof line, file)) {
        unsigned long from, to;
        char may[8], path[256] = "(anonymous)";
        if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %255s", &from, &to, may, path) < 3)
            continue;
        if (!program[0])
            strcpy(program, path); /* the lowest one: the program has fixed addresses */
        /* Under qemu-user all is mapped that lies between the segments, for nobody to touch. */
        if (may[0] == '-' || !strcmp(path, program) ||
            to <= (((uintptr_t)_end + PAGE - 1) & ~(PAGE - 1)))
            continue;
        mappings[number].from = from;
        mappings[number].to = to;
        snprintf(mappings[number].what, sizeof mappings[number].what, "%s", path);
        number++;
    }
    fclose(file);
    return number;
}

static size_t scan_stretch(struct stretch stretch, const struct mapping *mappings, int number)
{
    size_t found = 0;
    uintptr_t first = ((uintptr_t)stretch.from + 7) & ~(uintptr_t)7;
    for (uintptr_t *word = (uintptr_t *)first; (char *)(word + 1) <= stretch.to; word++) {
        for (int i = 0; i < number; i++) {
            if (*word < mappings[i].from || *word >= mappings[i].to)
                continue;
            found++;
            fprintf(stderr, "image: %p holds %#lx, which is in %s\n", (void *)word,
                    (unsigned long)*word, mappings[i].what);
        }
    }
    return found;
}

size_t image_scan(void)
{
    struct stretch stretches[STRETCHES];
    image_stretches(stretches);
    /* On the stack: what is static here is of the image, and full of such addresses. */
    struct mapping mappings[MAPPINGS];
    int number = read_mappings(mappings);
    if (number < 0) {
        perror("image: /proc/self/maps");
        return 1;
    }
    size_t found = 0;
    for (int i = 0; i < STRETCHES; i++)
        found += scan_stretch(stretches[i], mappings, number);
    return found;
}
