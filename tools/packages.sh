#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that building and testing need, if they are missing and we may.
# With the word "guest": those that the test guest needs; "static": the static executable.
set -eu
case ${1-} in
guest) wanted="qemu-system-x86 mmdebstrap e2fsprogs debian-archive-keyring git" ;;
static) wanted="mmdebstrap gcc make musl-tools libffi-dev busybox-static dpkg-dev debian-archive-keyring xz-utils" ;;
*) wanted="gcc make libc6-dev musl-tools libseccomp-dev python3-dev python3-venv
    busybox-static runc golang-github-opencontainers-specs-dev golang-github-containers-common
    iproute2 strace clang clang-format libasan8 criu git" ;;
esac
need=""
for package in $wanted; do
    dpkg -s "$package" >/dev/null 2>&1 || need="$need $package"
done
[ -n "$need" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing packages:$need" >&2
    echo "install them as root: apt-get install$need" >&2
    exit 1
fi
echo "installing:$need"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $need >/dev/null
