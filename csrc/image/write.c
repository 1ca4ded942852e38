/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the executable that this process is, with the interpreter's memory in its places.
 * The copy runs at the same addresses under the same linker's decisions, so nothing in it has to
 * be relocated: a copy of three stretches of memory to where the file has them is all.
 */
#include "image.h"

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char self[] = "/proc/self/exe";
/* How long the image's file is. Known before the stretch that it lies in is copied. */
static size_t written;

static void die(const char *what)
{
    perror(what);
    _exit(1);
}

static char *read_self(size_t *size)
{
    struct stat status;
    int fd = open(self, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status))
        die(self);
    char *elf = malloc((size_t)status.st_size);
    if (!elf)
        die("image");
    for (size_t got = 0; got < (size_t)status.st_size;) {
        ssize_t more = read(fd, elf + got, (size_t)status.st_size - got);
        if (more <= 0)
            die(self);
        got += (size_t)more;
    }
    close(fd);
    *size = (size_t)status.st_size;
    return elf;
}

/* The segment of the file that an address comes from. */
static Elf64_Phdr *segment(char *elf, const char *address)
{
    Elf64_Ehdr *header = (Elf64_Ehdr *)elf;
    Elf64_Phdr *rows = (Elf64_Phdr *)(elf + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++) {
        uintptr_t from = rows[i].p_vaddr;
        if (rows[i].p_type == PT_LOAD && (uintptr_t)address >= from &&
            (uintptr_t)address < from + rows[i].p_filesz)
            return &rows[i];
    }
    fprintf(stderr, "image: no segment of the file has %p\n", (const void *)address);
    _exit(1);
}

void image_write(const char *path)
{
    size_t size;
    char *elf = read_self(&size);
    image_alloc_seal();
    size_t used = (size_t)(image_end - image_heap);
    Elf64_Phdr *heap = segment(elf, image_heap);
    /* The heap is the last segment: the file ends with its used part. Behind it the kernel adds
     * zero pages, because the segment is longer in memory than in the file. */
    heap->p_filesz = used;
    heap->p_memsz = used + HEAP_TAIL;
    written = heap->p_offset + used;
    struct stretch stretches[STRETCHES];
    image_stretches(stretches);
    for (int i = 0; i < STRETCHES; i++) {
        Elf64_Phdr *row = segment(elf, stretches[i].from);
        size_t length = (size_t)(stretches[i].to - stretches[i].from);
        size_t at = (size_t)((uintptr_t)stretches[i].from - row->p_vaddr);
        if (at + length > row->p_filesz) {
            fprintf(stderr, "image: the file has no room for %zu bytes at %p\n", length,
                    (void *)stretches[i].from);
            _exit(1);
        }
        memcpy(elf + row->p_offset + at, stretches[i].from, length);
    }
    /* Section headers lie behind the heap, and no one needs them to run it. */
    Elf64_Ehdr *header = (Elf64_Ehdr *)elf;
    header->e_shoff = 0;
    header->e_shnum = header->e_shstrndx = 0;

    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755);
    if (fd < 0)
        die(path);
    for (size_t put = 0; put < written;) {
        ssize_t more = write(fd, elf + put, written - put);
        if (more <= 0)
            die(path);
        put += (size_t)more;
    }
    if (close(fd))
        die(path);
    fprintf(stderr, "image: %zu bytes of data, %zu of zeroed data, %zu of heap; file %zu\n",
            (size_t)(stretches[0].to - stretches[0].from),
            (size_t)(stretches[1].to - stretches[1].from), used, written);
    _exit(0);
}

void image_refuse_cut_file(void)
{
    struct stat status;
    /* Without /proc nobody can tell: the kernel then kills what reads a page that is missing. */
    if (stat(self, &status) || (size_t)status.st_size == written)
        return;
    /* Under qemu-user stat(2) tells of the emulator, open(2) has the program. */
    int fd = open(self, O_RDONLY | O_CLOEXEC);
    bool whole = fd >= 0 && !fstat(fd, &status) && (size_t)status.st_size == written;
    close(fd);
    if (whole)
        return;
    char line[160];
    int length = snprintf(line, sizeof line,
                          "pyrunc: its file has %lld bytes instead of %zu; install it again\n",
                          (long long)status.st_size, written);
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        _exit(2);
    _exit(1);
}
