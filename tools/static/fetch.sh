#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Brings the sources that the static executable is made of: Debian's source packages, which apt has
# checked by the archive's signature, and cffi's and jeepney as pip finds them.
#     fetch.sh PIP RELEASE PACKAGES CFFI JEEPNEY DIRECTORY
# The release's source index is read with settings of this call's own: the host's are left as they are.
set -eu
[ $# = 6 ] || { echo "usage: $0 PIP RELEASE PACKAGES CFFI JEEPNEY DIRECTORY" >&2; exit 2; }
pip=$1 release=$2 packages=$3 cffi=$4 jeepney=$5 directory=$6
# The host's own Debian mirror (an `apt-get update` must have been made); apt knows its proxy itself.
mirror=${PYRUNC_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' \
    'Created-By: Packages' 2>/dev/null | sed -n 's/^Debian|Debian|//p' | head -n 1)}
# Elsewhere, as on Ubuntu, the one that mmdebstrap takes by itself.
[ -n "$mirror" ] || mirror=$(sed -n "s/^ *my \$mirror *= '\(.*\)';/\1/p" "$(command -v mmdebstrap || echo /dev/null)" |
    head -n 1)
if [ -z "$mirror" ]; then
    echo "fetch: apt knows no Debian archive here: apt-get update, or name one in PYRUNC_DEBIAN_MIRROR" >&2
    exit 1
fi
mkdir -p "$directory/apt/lists/partial" "$directory/apt/cache/archives/partial"
cd "$directory"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
if [ ! -e $keyring ]; then
    echo "fetch: no $keyring to check the sources by (apt-get install debian-archive-keyring)" >&2
    exit 1
fi
echo "deb-src [signed-by=$keyring] $mirror $release main" >apt/sources.list
apt() {
    apt-get -qq -o Dir::Etc::SourceList="$PWD/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$PWD/apt/lists" -o Dir::Cache="$PWD/apt/cache" \
        -o APT::Sandbox::User=root "$@"
}
apt update
# shellcheck disable=SC2086 # several
apt source --download-only $packages
rm -rf apt
pip="$pip download -q --disable-pip-version-check --no-deps"
$pip --no-binary cffi "cffi==$cffi"
$pip --only-binary jeepney "jeepney==$jeepney" # pure Python, so its wheel is its source
