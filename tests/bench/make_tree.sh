#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a Debian trixie tree with crun and runc in it, for a host that has no crun of its own.
# Usage: make_tree.sh DIRECTORY, then CRUN_TREE=DIRECTORY make bench
set -eu
[ $# = 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "$0: needs root: the tree is entered with chroot" >&2; exit 1; }
command -v mmdebstrap >/dev/null || { echo "$0: needs mmdebstrap (apt-get install mmdebstrap)" >&2; exit 1; }
exec mmdebstrap --mode=root --variant=minbase --include=crun,runc,busybox-static trixie "$1"
