/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pyrunc-init: the only program of pyrunc that enters a container.
 *
 * It interprets a plan: one function a step, `step_NAME` in the file of its concern. It decides
 * nothing that the plan can, and never looks at the host by a path that the plan does not give. A
 * step returns 0, or -1 after `fail` or `refuse` has recorded why; the parent puts that into words.
 */
#ifndef PYRUNC_INIT_H
#define PYRUNC_INIT_H

#include "plan.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { EXIT_NOT_STARTED = 255 };

struct init {
    struct plan plan;
    int *registers;
    uint32_t index; /* of the running step */
    int last_capability;
    struct pr_message report;
    char **environment;
    char **arguments;
    char program[4096];
    char text[PR_MAX_TEXT]; /* the name of a loader, for the message that there is none */
    char **arena;           /* pointers for string lists, sized by the plan's header */
};

extern struct init init;

/* report.c */
int fail(enum pr_call call);
int fail_with(enum pr_call call, int err, int value);
int refuse(enum pr_reason why, int value);
int send_message(enum pr_message_kind kind, int value, int fd);
int send_with_descriptor(int socket, const void *data, size_t size, int fd);
int await_go(void);
_Noreturn void die(void);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* registers and the plan's strings */
int reg(uint64_t index);
void set_reg(uint64_t index, int fd);
char **strings(const void *step, struct pr_span span);

/* path.c: every lookup inside the root filesystem */
int open_in(int base, const char *path, uint64_t flags, uint64_t resolve);
int open_in_root(const char *path, uint64_t flags, uint64_t resolve);
int open_parent(const char *path, const char **name);
int reach(const char *path, int directory, mode_t mode);
int fail_reach(void);
int is_root(int fd);
int same_file(int a, int b);
int is_device(int fd, mode_t kind, unsigned major, unsigned minor);
int is_on(int fd, uint64_t magic);

/* mount.c */
struct mount_attr;
int set_attributes(int mount, struct mount_attr *attr, int recursive);
int clone_tree(int fd, int recursive);
int move_onto(int mount, int target);
int configure(int context, const char *option, int index);
int new_filesystem(const char *fstype, const char *source, const char *mode_of, char **options,
                   unsigned attributes);
int may_cover(int target);

int lacks_loader(const char *path); /* loader.c */

void reset_signals(void);

/* The steps, a table by operation in main.c. */
#define STEP(name) int step_##name(const struct pr_##name *s)
STEP(parent_death);
STEP(dumpable);
STEP(sync);
STEP(join_cgroups);
STEP(join_namespace);
STEP(unshare);
STEP(fork);
STEP(become_root);
STEP(new_session);
STEP(session_keyring);
STEP(loopback_up);
STEP(propagation);
STEP(open_tree);
STEP(open_inside);
STEP(attach_root);
STEP(private_parent);
STEP(open_procfs);
STEP(make_filesystem);
STEP(long_filesystem);
STEP(mount_attributes);
STEP(attach);
STEP(make_directory);
STEP(make_file);
STEP(make_node);
STEP(symlink);
STEP(pivot);
STEP(open_root);
STEP(change_root);
STEP(null_stdio);
STEP(console);
STEP(read_only_path);
STEP(copy_up);
STEP(remount);
STEP(mask_path);
STEP(hostname);
STEP(domainname);
STEP(sysctl);
STEP(umask);
STEP(no_new_privileges);
STEP(seccomp);
STEP(drop_bounding);
STEP(chown_stdio);
STEP(change_directory);
STEP(set_ids);
STEP(set_capabilities);
STEP(ambient_capabilities);
STEP(scheduler);
STEP(affinity);
STEP(io_priority);
STEP(personality);
STEP(memory_policy);
STEP(label);
STEP(environment);
STEP(find_program);
STEP(run_hook);
STEP(send_directory);
STEP(inherit_descriptors);
STEP(close_descriptors);
STEP(wait_start);
STEP(execute);

/* A string argument of a step; NULL where it is absent. Checked by plan_check. */
#define TEXT(step, field) span_text(step, (step)->field)

#endif
