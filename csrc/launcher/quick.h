/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PYRUNC_QUICK_H
#define PYRUNC_QUICK_H

/* Do what the command line asks, if Python has written down how: 1 when it is done, 0 when
 * nothing has been, and Python has to look at it. */
int quick(int argc, char **argv);

#endif
