/* Small system calls that Python's os module lacks, or has only in an expensive import.
 * All return 0 or a value, or -errno. */
int pyrunc_prlimit(int pid, int resource, uint64_t soft, uint64_t hard);
int pyrunc_set_subreaper(int on);
int pyrunc_get_descriptor(int pidfd, int number);
int pyrunc_exit_status(int pidfd, int *status);
int pyrunc_namespace_type(int fd);
int pyrunc_netlink_in(int namespace);
int pyrunc_close_on_exec_from(uint32_t first);
int pyrunc_window_size(int from, int to);
int pyrunc_spawn_program(const char *path, char *const argv[], char *const envp[], const char *cwd,
                         int in, int out);
