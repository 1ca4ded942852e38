/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

#include "bpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.17 to 7.1 write to attributes beyond the size they are given (opencontainers/runc
 * 5403). So the kernel always gets 128 zeroed bytes or more, whatever the headers say. */
enum { ATTRIBUTE_SIZE = sizeof(union bpf_attr) > 128 ? sizeof(union bpf_attr) : 128 };

union attribute {
    union bpf_attr bpf;
    unsigned char space[ATTRIBUTE_SIZE];
};

static int call(int command, union attribute *attribute)
{
    long done = syscall(SYS_bpf, command, attribute, sizeof(*attribute));
    return done < 0 ? -errno : (int)done;
}

static void clear(union attribute *attribute)
{
    memset(attribute, 0, sizeof(*attribute));
}

static uint64_t address(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

int pyrunc_bpf_load(const void *instructions, uint32_t count, char *log, uint32_t log_size)
{
    /* No helper is called, so the kernel requires no particular licence; this is ours. */
    static const char license[] = "Apache-2.0";
    static const char name[] = "pyrunc_device";
    union attribute attribute;
    clear(&attribute);
    attribute.bpf.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attribute.bpf.insns = address(instructions);
    attribute.bpf.insn_cnt = count;
    attribute.bpf.license = address(license);
    memcpy(attribute.bpf.prog_name, name, sizeof(name));
    if (log) {
        attribute.bpf.log_buf = address(log);
        attribute.bpf.log_size = log_size;
        attribute.bpf.log_level = 1;
    }
    /* BPF descriptors are close-on-exec by themselves. */
    return call(BPF_PROG_LOAD, &attribute);
}

int pyrunc_bpf_attach(int cgroup, int program, int replaced)
{
    union attribute attribute;
    clear(&attribute);
    attribute.bpf.target_fd = (uint32_t)cgroup;
    attribute.bpf.attach_bpf_fd = (uint32_t)program;
    attribute.bpf.attach_type = BPF_CGROUP_DEVICE;
    attribute.bpf.attach_flags = BPF_F_ALLOW_MULTI;
    if (replaced >= 0) {
        attribute.bpf.attach_flags |= BPF_F_REPLACE;
        attribute.bpf.replace_bpf_fd = (uint32_t)replaced;
    }
    return call(BPF_PROG_ATTACH, &attribute);
}

int pyrunc_bpf_detach(int cgroup, int program)
{
    union attribute attribute;
    clear(&attribute);
    attribute.bpf.target_fd = (uint32_t)cgroup;
    attribute.bpf.attach_bpf_fd = (uint32_t)program;
    attribute.bpf.attach_type = BPF_CGROUP_DEVICE;
    return call(BPF_PROG_DETACH, &attribute);
}

int pyrunc_bpf_query(int cgroup, uint32_t *ids, uint32_t capacity)
{
    union attribute attribute;
    clear(&attribute);
    attribute.bpf.query.target_fd = (uint32_t)cgroup;
    attribute.bpf.query.attach_type = BPF_CGROUP_DEVICE;
    attribute.bpf.query.prog_ids = address(ids);
    attribute.bpf.query.prog_cnt = capacity;
    int done = call(BPF_PROG_QUERY, &attribute);
    return done < 0 ? done : (int)attribute.bpf.query.prog_cnt;
}

int pyrunc_bpf_open(uint32_t id)
{
    union attribute attribute;
    clear(&attribute);
    attribute.bpf.prog_id = id;
    return call(BPF_PROG_GET_FD_BY_ID, &attribute);
}

int pyrunc_bpf_id(int program, uint32_t *id)
{
    struct bpf_prog_info info;
    union attribute attribute;
    memset(&info, 0, sizeof(info));
    clear(&attribute);
    attribute.bpf.info.bpf_fd = (uint32_t)program;
    attribute.bpf.info.info_len = sizeof(info);
    attribute.bpf.info.info = address(&info);
    int done = call(BPF_OBJ_GET_INFO_BY_FD, &attribute);
    if (done >= 0)
        *id = info.id;
    return done;
}
