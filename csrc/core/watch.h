/* Notice of what is removed from a directory. */
int pyrunc_watch_removals(const char *directory);
