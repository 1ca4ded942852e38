/* Mounts that only the host's root may make, for pyrunc-init to attach. All return a descriptor
 * or 0, or -errno. */
int pyrunc_open_tree(const char *path, int recursive);
int pyrunc_map_ids(int mount, int user_namespace, int recursive);
int pyrunc_open_sealed(const char *directory, const char *name, const char **failed);
