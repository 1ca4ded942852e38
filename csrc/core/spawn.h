/* Start pyrunc-init. `fds` become descriptors first_fd + i of the child (-1: closed); stdio[i]
 * becomes i; [3, first_fd) are kept as they are. If it has not executed after timeout_ms (-1:
 * none), or once there is something to read from interrupt_fd (-1: none), it is killed: -ETIMEDOUT,
 * -EINTR. On failure `failed_call` names the system call. */
struct pyrunc_spawn {
    uint64_t flags;
    int cgroup_fd;
    int exe_fd;
    int stdio[3];
    const int *fds;
    uint32_t fd_count;
    uint32_t first_fd;
    int timeout_ms;
    int interrupt_fd;
    int pidfd;
    const char *failed_call;
};

/* Returns the child's pid, or -errno. */
int pyrunc_spawn(struct pyrunc_spawn *request);

/* A memfd that can no longer be changed; executable if so requested. Returns it, or -errno. */
int pyrunc_sealed_memfd(const char *name, const void *data, size_t size, int executable);
