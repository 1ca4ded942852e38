#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the guest: DIRECTORY/{tree,image,kernel,initrd}. image.py calls it and keeps the result.
# The tree stays beside the image: what is built for the guest is built in it, at native speed.
set -eu
[ $# = 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"

# The host's own Debian mirror and proxy, where it has them; else mmdebstrap's default.
# shellcheck disable=SC2016 # apt-get's own names
mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
    sed -n 's/^Debian|Debian|//p' | head -n 1)
proxy=$(apt-config shell proxy Acquire::http::Proxy)
set -- --mode=root --variant=minbase --aptopt='APT::Install-Recommends "false"'
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ ! -e $keyring ] || set -- "$@" --keyring=$keyring
[ -z "$proxy" ] || { eval "$proxy" && set -- "$@" --aptopt="Acquire::http::Proxy \"$proxy\""; }
packages=$(sed 's/#.*//' "$here/packages" | tr -s ' \n' ',')
# Debian's initramfs finds any machine's disk; ours, below, is ten times smaller and faster.
INITRD=No mmdebstrap "$@" --include="$packages" trixie tree ${mirror:+"$mirror"}

# Settings. Engines are started by the tests that need them: the boot is faster.
cp -R "$here/overlay/." tree
chroot tree sh -eu <<'SETTINGS'
systemctl -q disable containerd.service docker.service docker.socket podman.service podman.socket \
    podman-auto-update.timer podman-restart.service podman-clean-transient.service \
    netavark-dhcp-proxy.service netavark-dhcp-proxy.socket netavark-firewalld-reload.service
systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
    e2scrub_all.timer e2scrub_reap.service systemd-timesyncd.service systemd-binfmt.service \
    modprobe@drm.service modprobe@efi_pstore.service getty@tty1.service
systemctl -q enable pyrunc-guest.service
useradd --create-home --uid 1000 --shell /bin/bash tester
printf 'tester:100000:65536\n' | tee /etc/subuid >/etc/subgid
passwd -q -d root
echo pyrunc-guest >/etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 pyrunc-guest\n::1 localhost\n' >/etc/hosts
# A machine with an id does not go through the first boot's questions.
echo 70797275 6e632d67 75657374 00000000 | tr -d ' ' >/etc/machine-id
mkdir -p /pyrunc /out
# Debian's profiles are for programs that are not here, and take ten seconds to compile.
find /etc/apparmor.d -maxdepth 1 -type f -delete
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /boot/initrd* /var/log/*.log
# What waits for the first boot after an update has been done.
touch /etc/.updated /var/.updated
SETTINGS

# The kernel, and an initramfs that loads the disk's modules and changes to the disk.
version=$(ls tree/lib/modules)
cp "tree/boot/vmlinuz-$version" kernel
rm -rf early
mkdir -p early/bin early/dev early/root
cp tree/bin/busybox early/bin/busybox
cp "$here/early-init" early/init
chroot tree modprobe --show-depends --all -S "$version" virtio_pci virtio_blk ext4 |
    sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' |
    while read -r module; do
        name=$(basename "$module" .xz)
        case $module in
        *.xz) xz -dc "tree$module" >"early/$name" ;;
        *) cp "tree$module" "early/$name" ;;
        esac
        echo "/$name" >>early/modules
    done
(cd early && find . | ../tree/bin/busybox cpio -o -H newc --quiet) >initrd
rm -rf early

# Sparse: tests have room, and the file takes what is in it.
rm -f image
truncate -s 6G image
mke2fs -q -t ext4 -L pyrunc-guest -O ^has_journal -E lazy_itable_init=1 -m 0 -d tree image
