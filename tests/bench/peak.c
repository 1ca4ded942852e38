/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peak FILE PROGRAM ARGUMENT...: runs the program and writes its peak memory in KB into FILE.
 *
 * The kernel counts the memory of a process before its execve too, and that is its parent's
 * where it was made by fork or vfork: so the parent has to be a program as small as this one.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct rusage usage;
    int status;
    pid_t pid = argc > 2 ? fork() : -1;
    if (pid == 0) {
        execv(argv[2], argv + 2);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid || status != 0)
        return 1;
    FILE *out = fopen(argv[1], "w");
    return !out || fprintf(out, "%ld\n", usage.ru_maxrss) < 0 || fclose(out) != 0;
}
