# SPDX-License-Identifier: Apache-2.0
"""What may differ between crun 1.21 and pyrunc in the guest: the one list, with reasons, and who
follows the specification ("both" where it leaves the choice). Used as known.py's.

"as runc": known.py has no such row, so that there runc does what pyrunc does.
"""

from __future__ import annotations

from tests.differential.difference import Difference, Known
from tests.differential.known import MAPPED_ROOT, ROOTLESS, USERNS
from tests.differential.known_crun_mounts import BOUND, MOUNTS, PROPAGATION

HOST_NETWORK = ("no_network_namespace", *BOUND)
ROWS = (
    Difference(
        "an empty HOME is none, as runc",
        r"^env: HOME=$",
        "env: HOME=/root",
        cases=("empty_home_in_the_environment",),
        spec="both",
    ),
    Difference(
        "a path that is listed twice is masked once",
        r"^(mount: /null /masked/file \S+ - .* \(on /masked/file, .*\n)\1",
        r"\1",
        cases=("masked_paths",),
        spec="both",
    ),
    Difference(
        "the same",
        r"^mount: / /masked/dir .* \(on /masked/dir, .*\n",
        "",
        cases=("masked_paths",),
        spec="both",
    ),
    Difference(
        "readonlyPaths come before maskedPaths, so that a mask below one is read-only and what it"
        " covers stays covered; crun's is a tmpfs where the container may write",
        r"^mount: / /proc/sys/kernel rw,.*\n(mount: / /proc/sys/kernel ro,.* \(on /proc)",
        r"\1/sys",
        cases=("masked_inside_readonly",),
        spec="pyrunc",
    ),
    Difference(
        "the same",
        r"^(path: /proc/sys/kernel dir .* mkdir )ok",
        r"\1EROFS",
        cases=("masked_inside_readonly",),
        spec="pyrunc",
    ),
    Difference(
        "the same",
        r"^mount: /null /kept/file .* \(on /kept, .*\n(mount: /null /kept/file .* \(on /),",
        r"\1kept,",
        cases=("masked_inside_readonly",),
        spec="pyrunc",
    ),
    Difference(
        "sysfs is read-only as a filesystem, too, as runc; crun makes the mount alone read-only",
        r"^(mount: / /sys ro\S*(?: shared:/sys)? - sysfs sysfs r)w",
        r"\1o",
        unless=HOST_NETWORK,
        spec="both",
    ),
    Difference(
        "a cgroup mount is named by `mounts[].source`, as runc; crun names all cgroup2",
        r"^(mount: / (?:/host/var\S*)?/sys/fs/cgroup \S+(?: shared:\S+)? - cgroup2) cgroup2 ",
        r"\1 cgroup ",
        unless=(*BOUND, "v2_without_a_cgroup_namespace", "docker"),
        spec="pyrunc",
    ),
    Difference(
        "without a cgroup namespace the host's cgroup2 mount is bound: a new one, as crun and runc"
        " make it, takes nsdelegate and memory_recursiveprot from all cgroups of the host",
        r" - cgroup2 cgroup2 rw ",
        r" master:/sys/fs/cgroup - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot ",
        cases=("v2_without_a_cgroup_namespace", "docker"),
        spec="both",
    ),
    Difference(
        "without cgroupsPath the cgroup lies beside the runtime's own, as runc; crun's at the top",
        r"^(cgroup: 0::)/../../<id>",
        r"\1/../<id>",
        cases=("joined_cgroup",),
        spec="both",
    ),
    Difference(
        "the same, seen from the host's cgroup namespace",
        r"^(cgroup: 0::)/<id>",
        r"\1/system.slice/<id>",
        cases=("v2_without_a_cgroup_namespace",),
        spec="both",
    ),
    Difference(
        "the same: the root of the hierarchy lies one level higher",
        r"^mount: /.. (\S*/sys/fs/cgroup )",
        r"mount: /../.. \1",
        cases=("user_namespace_without_a_network_one", "whole_host"),
        spec="both",
    ),
    Difference(
        "crun masks the cgroups below a sysfs that is bound",
        r"^mount: / /sys/fs/cgroup rw,relatime - tmpfs .* \(on /sys/fs/cgroup, .*\n",
        "",
        cases=ROOTLESS,
        spec="pyrunc",
    ),
    Difference(
        "crun's masks below a sysfs that is bound reach the host, whose own /sys/firmware is gone"
        " for everybody; pyrunc's mounts are the host's slaves before anything is mounted",
        r"^host: mount left: /sys/firmware tmpfs\n",
        "",
        cases=("user_namespace_without_a_network_one",),
        spec="pyrunc",
    ),
    Difference(
        "an empty file is made 0644 to be mounted on; crun's is 0700",
        r"^(left: \S+ )-rwx------",
        r"\1-rw-r--r--",
        spec="both",
    ),
    Difference(
        "devices are bound from the host in a user namespace; crun lets its parent make them in a"
        " tmpfs of the host's, with no permissions for anybody",
        r"^(mount: )/full /dev/full( \S+ - devtmpfs .*\n)"
        r"mount: /\d+ /dev/kmsg \S+ - tmpfs none .*\n",
        r"\1/full /dev/full\2\1/kmsg /dev/kmsg\2",
        cases=("user_namespace_of_the_same_ids", "user_namespace_with_tmpfs_and_devices"),
        spec="both",
    ),
    Difference(
        "the same",
        r"^((?:dev|path): /dev/kmsg char )0 0:0 ",
        r"\g<1>644 0:0 ",
        cases=("user_namespace_of_the_same_ids",),
        spec="both",
    ),
    Difference(
        "the same: it is the host's root that owns it",
        r"^dev: /dev/kmsg char 0 0:0 (.*)\n((?:.*\n)*)path: /dev/kmsg char 0 0:0 open EACCES ",
        r"dev: /dev/kmsg char 644 65534:65534 \1\n\2"
        r"path: /dev/kmsg char 644 65534:65534 open EPERM ",
        cases=("user_namespace_with_tmpfs_and_devices",),
        spec="both",
    ),
    Difference(
        "a session keyring is called _ses.ID, as runc; crun calls it ID",
        r"^(keyring: keyring;0;0;)3f13(\S+;)<id>",
        r"\g<1>3f1b\2_ses.<id>",
        unless=USERNS,
        spec="both",
    ),
    Difference(
        "in a user namespace the keyring is made by its root, who owns it and may use it, as runc",
        r"^keyring: keyring;(?:0;0|65534;65534);3f130000;<id>",
        r"keyring: keyring;0;0;3f130008;_ses.<id>",
        cases=USERNS,
        spec="both",
    ),
    Difference(
        "the tmpfs that masks directories is tiny and read-only itself; crun's is one each",
        r"^(mount: / /\S+ ro,relatime(?: shared:\S+)? - tmpfs tmpfs )"
        r"rw,size=0k((?:,uid=\d+,gid=\d+)?,inode64 )",
        r"\1ro,size=4k,nr_inodes=1\2",
        spec="both",
    ),
    Difference(
        "one tmpfs masks all directories: a mount less to make for each",
        r"^(mount: / /sys/firmware ro.*device of )/sys/firmware",
        r"\1/proc/acpi",
        spec="both",
    ),
    Difference(
        "files are masked by the container's own /dev/null, as runc; crun opens the host's",
        r"^(mount: /null \S+ )ro(?: (?:shared|master):\S+)? - devtmpfs devtmpfs \S+"
        r" (\(on \S+, device of )\S+",
        r"\1rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755,inode64 \2/dev)",
        unless=("dev_of_the_host", "readonly_dev"),
        spec="both",
    ),
    Difference(
        "a mount over a file is no more read-only or noexec than what it shows, as runc",
        r"^(mount: /(?:full|kmsg|null|random|tty|urandom|zero) (?:/dev|/proc)/\S+ )"
        r"r[wo],nosuid(?:,noexec)? - ",
        r"\1rw,nosuid - ",
        spec="both",
    ),
    Difference(
        "a pipe of the host's has no owner inside; crun gives it to the user, runc makes its own",
        r"^(fd: [0-2] fifo access .* owner )\d+:\d+ ",
        r"\g<1>65534:65534 ",
        cases=(*MAPPED_ROOT, *ROOTLESS),
        spec="both",
    ),
    Difference(
        "a pipe is given to the user and not to the user's group, as runc",
        r"^(fd: [0-2] fifo access .* owner \d+:)[1-9]\d* ",
        r"\g<1>0 ",
        unless=USERNS,
        spec="both",
    ),
    Difference(
        "a cgroup mount is named by `mounts[].source`, as runc; crun names all cgroup2",
        r"^(mount: / /sys/fs/cgroup ro\S+ - cgroup2) cgroup2 ",
        r"\1 cgroup ",
        cases=ROOTLESS,
        spec="pyrunc",
    ),
    Difference(
        "the same, where /dev is read-only",
        r"^(mount: /null \S+ )ro - devtmpfs devtmpfs \S+ (\(on \S+, device of )\S+",
        r"\1ro,nosuid - tmpfs tmpfs rw,size=65536k,mode=755,inode64 \2/dev)",
        cases=("readonly_dev",),
        spec="both",
    ),
)
REFUSALS = (
    Difference(
        "an entry of process.env is NAME=value, as in environ(7); crun passes on what is none",
        "has no name before",
        cases=("environment_without_a_name",),
        refuses="pyrunc",
        spec="pyrunc",
    ),
    Difference(
        "the same",
        'has no \\"=\\"',
        cases=("environment_without_a_value",),
        refuses="pyrunc",
        spec="pyrunc",
    ),
    Difference(
        "crun refuses limits of the network on cgroup v2 even if they ask for nothing",
        "network limits not supported on cgroupv2",
        cases=("block_io_that_asks_for_nothing",),
        refuses="peer",
        spec="pyrunc",
    ),
    Difference(
        "crun has bits in mount_setattr(2) that the kernel refuses for recursive access times",
        "mount_setattr `/mnt/rnoatime`: Invalid argument",
        cases=("recursive_options",),
        refuses="peer",
        spec="pyrunc",
    ),
    Difference(
        "a link that leads to nothing leads to a mount point that is made inside, as runc",
        "creating `/dangling`",
        cases=("bind_through_a_link",),
        refuses="peer",
        spec="pyrunc",
    ),
    Difference(
        "crun makes default devices even where nothing is mounted on /dev, and wants the directory",
        "open /dev directory in",
        cases=("no_dev_mount",),
        refuses="peer",
        spec="pyrunc",
    ),
    Difference(
        "crun makes all unbindable before it binds what covers paths",
        "mount `/dev/null` to `proc/kcore`: Invalid argument",
        cases=("root_propagation_runbindable",),
        refuses="peer",
        spec="pyrunc",
    ),
    Difference(
        "crun looks for the container's /dev/null even if nobody needs it",
        "open()ing `/dev/null`: No such file or directory",
        cases=("own_dev_without_null",),
        refuses="peer",
        spec="pyrunc",
    ),
)
CRUN = Known(*MOUNTS, *ROWS, *PROPAGATION, *REFUSALS)
