/* BPF device programs of cgroups. Descriptors that are returned are close-on-exec and the
 * caller's. All return 0 or a value, or -errno. */

/* Load a device program of `count` instructions; a log of `log_size` bytes is written to `log`
 * unless that is NULL. Returns its descriptor. */
int pyrunc_bpf_load(const void *instructions, uint32_t count, char *log, uint32_t log_size);

/* Attach next to the programs that are there, or in the place of `replaced` if that is >= 0. */
int pyrunc_bpf_attach(int cgroup, int program, int replaced);
int pyrunc_bpf_detach(int cgroup, int program);

/* The ids of the device programs attached to the cgroup itself. Returns how many there are;
 * -ENOSPC if they do not fit. */
int pyrunc_bpf_query(int cgroup, uint32_t *ids, uint32_t capacity);

int pyrunc_bpf_open(uint32_t id);
int pyrunc_bpf_id(int program, uint32_t *id);
