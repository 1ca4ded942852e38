#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a Debian tree with crun and runc in it, for a host that has no crun of its own.
# Usage: make_tree.sh DIRECTORY [SUITE], then CRUN_TREE=DIRECTORY make bench
set -eu
[ $# -ge 1 ] || { echo "usage: $0 DIRECTORY [SUITE]" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "$0: needs root: the tree is entered with chroot" >&2; exit 1; }
command -v mmdebstrap >/dev/null || { echo "$0: needs mmdebstrap (apt-get install mmdebstrap)" >&2; exit 1; }
# Its lists may have run out: what is compared is a version, wherever it comes from.
exec mmdebstrap --mode=root --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
    --include=crun,runc,busybox-static "${2:-sid}" "$1"
