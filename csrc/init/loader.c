/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel needs besides a program to execute it: the loader that an ELF file names, the
 * interpreter of a script. execve(2) says ENOENT of either, and names neither. */
#define _GNU_SOURCE
#include "init.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD = 256, HEADERS = 64, DEPTH = 5 }; /* as BINPRM_BUF_SIZE and the kernel's own depth */

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { MACHINE = EM_AARCH64 };
#else
enum { MACHINE = EM_NONE };
#endif

/* Of another machine's programs binfmt_misc has its own loaders. */
static int of_elf(int fd, const Elf64_Ehdr *elf, char *name, size_t size)
{
    Elf64_Phdr header;
    if (elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_machine != MACHINE ||
        elf->e_phentsize != sizeof header || elf->e_phnum > HEADERS)
        return 0;
    for (int i = 0; i < elf->e_phnum; i++) {
        if (lseek(fd, (off_t)(elf->e_phoff + (size_t)i * sizeof header), SEEK_SET) < 0 ||
            read(fd, &header, sizeof header) != sizeof header)
            return 0;
        if (header.p_type != PT_INTERP || header.p_filesz < 2 || header.p_filesz > size)
            continue;
        if (lseek(fd, (off_t)header.p_offset, SEEK_SET) < 0 ||
            read(fd, name, header.p_filesz) != (ssize_t)header.p_filesz)
            return 0;
        name[header.p_filesz - 1] = 0;
        return name[0] != 0;
    }
    return 0;
}

static int of_script(char *line, char *name, size_t size)
{
    line += strspn(line, " \t");
    size_t length = strcspn(line, " \t\n");
    if (length == 0 || length >= size)
        return 0;
    memcpy(name, line, length);
    name[length] = 0;
    return 1;
}

static int loader_of(const char *path, char *name, size_t size)
{
    union {
        char bytes[HEAD];
        Elf64_Ehdr elf;
    } head = {{0}};
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), found = 0;
    if (fd < 0) /* a user who may execute it need not be allowed to read it */
        return 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        read(fd, head.bytes, sizeof head.bytes - 1) > 2) {
        if (memcmp(head.bytes, "#!", 2) == 0)
            found = of_script(head.bytes + 2, name, size);
        else if (memcmp(head.bytes, ELFMAG, SELFMAG) == 0)
            found = of_elf(fd, &head.elf, name, size);
    }
    close(fd);
    return found;
}

/* Whether `path`, or what is to run it, names one that is not there; init.text is its name. */
int lacks_loader(const char *path)
{
    char next[sizeof init.text];
    for (int depth = 0; depth < DEPTH; depth++) {
        if (!loader_of(path, next, sizeof next))
            break;
        memcpy(init.text, next, sizeof next);
        if (access(init.text, F_OK) < 0)
            return errno == ENOENT || errno == ENOTDIR;
        path = init.text;
    }
    init.text[0] = 0;
    return 0;
}
