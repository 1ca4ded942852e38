/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter: map the plan, check it whole, run it step by step. */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LAST_SIGNAL = 64 };

struct init init;

typedef int (*step_function)(const void *);
#define ENTRY(name, NAME) [PR_OP_##NAME] = (step_function)(void (*)(void))step_##name

static const step_function functions[PR_OP_COUNT] = {
    ENTRY(parent_death, PARENT_DEATH),
    ENTRY(dumpable, DUMPABLE),
    ENTRY(sync, SYNC),
    ENTRY(join_cgroups, JOIN_CGROUPS),
    ENTRY(join_namespace, JOIN_NAMESPACE),
    ENTRY(unshare, UNSHARE),
    ENTRY(fork, FORK),
    ENTRY(become_root, BECOME_ROOT),
    ENTRY(new_session, NEW_SESSION),
    ENTRY(session_keyring, SESSION_KEYRING),
    ENTRY(loopback_up, LOOPBACK_UP),
    ENTRY(propagation, PROPAGATION),
    ENTRY(open_tree, OPEN_TREE),
    ENTRY(open_inside, OPEN_INSIDE),
    ENTRY(attach_root, ATTACH_ROOT),
    ENTRY(private_parent, PRIVATE_PARENT),
    ENTRY(open_procfs, OPEN_PROCFS),
    ENTRY(make_filesystem, MAKE_FILESYSTEM),
    ENTRY(long_filesystem, LONG_FILESYSTEM),
    ENTRY(mount_attributes, MOUNT_ATTRIBUTES),
    ENTRY(attach, ATTACH),
    ENTRY(make_directory, MAKE_DIRECTORY),
    ENTRY(make_file, MAKE_FILE),
    ENTRY(make_node, MAKE_NODE),
    ENTRY(symlink, SYMLINK),
    ENTRY(pivot, PIVOT),
    ENTRY(open_root, OPEN_ROOT),
    ENTRY(change_root, CHANGE_ROOT),
    ENTRY(null_stdio, NULL_STDIO),
    ENTRY(console, CONSOLE),
    ENTRY(read_only_path, READ_ONLY_PATH),
    ENTRY(copy_up, COPY_UP),
    ENTRY(remount, REMOUNT),
    ENTRY(mask_path, MASK_PATH),
    ENTRY(hostname, HOSTNAME),
    ENTRY(domainname, DOMAINNAME),
    ENTRY(sysctl, SYSCTL),
    ENTRY(umask, UMASK),
    ENTRY(no_new_privileges, NO_NEW_PRIVILEGES),
    ENTRY(seccomp, SECCOMP),
    ENTRY(drop_bounding, DROP_BOUNDING),
    ENTRY(chown_stdio, CHOWN_STDIO),
    ENTRY(change_directory, CHANGE_DIRECTORY),
    ENTRY(set_ids, SET_IDS),
    ENTRY(set_capabilities, SET_CAPABILITIES),
    ENTRY(ambient_capabilities, AMBIENT_CAPABILITIES),
    ENTRY(scheduler, SCHEDULER),
    ENTRY(affinity, AFFINITY),
    ENTRY(io_priority, IO_PRIORITY),
    ENTRY(personality, PERSONALITY),
    ENTRY(memory_policy, MEMORY_POLICY),
    ENTRY(label, LABEL),
    ENTRY(environment, ENVIRONMENT),
    ENTRY(find_program, FIND_PROGRAM),
    ENTRY(run_hook, RUN_HOOK),
    ENTRY(send_directory, SEND_DIRECTORY),
    ENTRY(inherit_descriptors, INHERIT_DESCRIPTORS),
    ENTRY(close_descriptors, CLOSE_DESCRIPTORS),
    ENTRY(wait_start, WAIT_START),
    ENTRY(execute, EXECUTE),
};

/* What has no function would be skipped in silence; a plan that names it must not run. */
static int known(uint32_t op)
{
    return functions[op] != NULL;
}

int reg(uint64_t index)
{
    return init.registers[index];
}

void set_reg(uint64_t index, int fd)
{
    if (init.registers[index] >= 0 && init.registers[index] != fd)
        close(init.registers[index]);
    init.registers[index] = fd;
}

/* The strings of a list as a NULL-terminated vector, in the arena that `prepare` has sized. */
char **strings(const void *step, struct pr_span span)
{
    const char *text = span_bytes(step, span);
    const char *end = text + span.length;
    char **vector = init.arena;
    while (text < end) {
        *init.arena++ = (char *)text;
        text += strlen(text) + 1;
    }
    *init.arena++ = NULL;
    return vector;
}

/* The dispositions and the mask survive execve: the container would inherit Python's ignored
 * SIGPIPE and whatever the caller had blocked. */
void reset_signals(void)
{
    /* The kernel's own call: libc's refuses the signals that it keeps for its threads, and a
     * caller may have ignored those too. All zero is the default action. */
    static const unsigned long standard[4];
    sigset_t none;
    for (int s = 1; s <= LAST_SIGNAL; s++)
        syscall(SYS_rt_sigaction, s, standard, NULL, sizeof(uint64_t));
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* One mapping for the registers and for the pointers of all string lists: nothing is allocated
 * once the first namespace is entered. */
static int prepare(void)
{
    const struct pr_header *h = init.plan.header;
    size_t size = ((size_t)h->strings + 1) * sizeof(char *) + h->registers * sizeof(int);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return fail(PR_CALL_MMAP);
    init.arena = memory;
    init.registers = (int *)(init.arena + h->strings + 1);
    for (uint32_t i = 0; i < h->registers; i++) {
        int fd = (int)(h->first_fd + i);
        init.registers[i] = -1;
        if (i >= h->passed_fds)
            continue;
        if (fcntl(fd, F_GETFD) >= 0)
            init.registers[i] = fd;
        else if (errno != EBADF) /* that one was not passed */
            return fail(PR_CALL_FCNTL);
    }
    return 0;
}

/* The last one that this kernel knows, queried before any filter of the container's could lie. */
static int last_capability(void)
{
    int cap = CAP_LAST_CAP;
    while (cap > 0 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) < 0)
        cap--;
    while (cap < 63 && prctl(PR_CAPBSET_READ, cap + 1, 0, 0, 0) >= 0)
        cap++;
    return cap > 0 ? cap : 63; /* where it is unknown none may be skipped */
}

static int load(int plan_fd)
{
    struct stat st;
    if (fstat(plan_fd, &st) < 0)
        return fail(PR_CALL_STAT);
    size_t size = (size_t)st.st_size;
    /* The memfd is sealed against writing, so what is checked is what is run. */
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, plan_fd, 0);
    if (bytes == MAP_FAILED)
        return fail(PR_CALL_MMAP);
    if (plan_check(bytes, size, &init.plan) < 0 || init.plan.header->registers <= PR_REG_CONSOLE)
        return refuse(PR_WHY_BAD_PLAN, 0);
    const struct pr_step *step = plan_first(&init.plan);
    for (; step; step = plan_next(&init.plan, step))
        if (!known(step->op))
            return refuse(PR_WHY_BAD_PLAN, 0);
    init.last_capability = last_capability();
    return prepare();
}

int main(int argc, char **argv)
{
    char *end = NULL;
    long first = argc == 2 ? strtol(argv[1], &end, 10) : -1;
    if (first < 3 || first > PR_MAX_STEPS || *end != 0) {
        static const char text[] = "pyrunc-init is started by pyrunc\n";
        return write(2, text, sizeof text - 1) < 0 ? 2 : 1;
    }
    reset_signals();
    /* Nothing of ours may outlive the execve of the container's program (CVE-2024-21626). */
    if (syscall(SYS_close_range, (unsigned)first, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return 1;
    if (load((int)first) < 0) {
        struct pr_message bad = init.report;
        bad.kind = PR_MSG_FAILURE;
        return write((int)first + PR_REG_SYNC, &bad, sizeof bad) < 0 ? 2 : 1;
    }
    const struct pr_step *step = plan_first(&init.plan);
    for (; step; step = plan_next(&init.plan, step), init.index++)
        if (functions[step->op](step) < 0)
            die();
    return 0;
}
