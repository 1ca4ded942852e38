/* SPDX-License-Identifier: Apache-2.0 */
/* Where the launcher's own installation has what it needs. */
#ifndef PYRUNC_PLACE_H
#define PYRUNC_PLACE_H

#include <limits.h>
#include <stddef.h>

/* /prefix/bin/pyrunc -> /prefix */
void find_prefix(char prefix[PATH_MAX]);
/* The directory that holds the package; -1 after a message where there is none to trust. */
int find_package(const char *prefix, char package[PATH_MAX]);
/* Where else Python looks for what the package needs, as words of a list: "'/a','/b',". */
void find_others(const char *prefix, char *text, size_t size);
/* The interpreter. */
void find_python(const char *prefix, char python[PATH_MAX]);

#endif
