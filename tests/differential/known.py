# SPDX-License-Identifier: Apache-2.0
"""What may differ between runc 1.1 and pyrunc: the one list, with reasons.

A row rewrites what runc's probe said; the result has to be what pyrunc's said. A row that
changes nothing where it should is stale, and fails.
"""

from __future__ import annotations

import re

from tests.differential.cases import CASES
from tests.differential.difference import Difference, Known

# Names of rows for tests outside CASES.
OTHERS = (
    *("hooks", "hooks_cwd", "hooks_mount", "state", "terminal"),
    *("limits_cpu", "limits_all"),
)


USERNS = tuple(name for name in CASES if re.search("user_namespace|joined_user|rootless", name))
MAPPED_ROOT = tuple(
    name for name in USERNS if name != "user_namespace_of_the_same_ids" and "rootless" not in name
)
ROOTLESS = tuple(name for name in CASES if "rootless" in name)
RUNC = Known(
    Difference(
        "with a read-only cgroup mount, its own tmpfs is read-only as well",
        r"^(mount: / /sys/fs/cgroup )rw(,nosuid,nodev,noexec,relatime.* - tmpfs tmpfs )",
        r"\1ro\2",
        unless=("cgroup_mount_rw",),
        on="v1",
    ),
    Difference(
        "the tmpfs that masks directories is tiny: nothing can be kept in it",
        r"^(mount: / \S+ ro,relatime - tmpfs tmpfs ro)((?:,uid=\d+,gid=\d+)?(?:,inode64)? )",
        r"\1,size=4k,nr_inodes=1\2",
    ),
    Difference(
        "one tmpfs masks all directories: a mount less to make for each",
        r"^(mount: / /sys/firmware ro.*device of )/sys/firmware",
        r"\1/proc/acpi",
    ),
    Difference(
        "group lists are passed on as they are; doubles give no rights",
        r"^(status: Groups:\t6) 7 1000 ",
        r"\1 7 7 1000 ",
        cases=("additional_gids",),
    ),
    Difference(
        "runc 1.1 knows no domainname; the specification has it since 1.1",
        r"^(uts: a-host|sysctl: kernel.domainname:) \(none\)",
        r"\1 a-domain",
        cases=("hostname_and_domainname",),
    ),
    Difference(
        "runc 1.1 knows no domainname; the specification has it since 1.1",
        r"^(uts: mapped|sysctl: kernel.domainname:) \(none\)",
        r"\1 example",
        cases=("user_namespace_with_names",),
    ),
    Difference(
        "a later recursive option undoes its opposite, as the options of one mount do",
        r"^(mount: \S+ /mnt )ro,nosuid,nodev,noexec,relatime",
        r"\1rw,relatime",
        cases=("recursive_options_undone",),
    ),
    Difference(
        "a path that is listed twice is masked once",
        r"^(mount: /null /masked/file \S+ - .* \(on /masked/file, .*\n)\1",
        r"\1",
        cases=("masked_paths",),
    ),
    Difference(
        "a path that is listed twice is masked once",
        r"^mount: / /masked/dir .* \(on /masked/dir, .*\n",
        "",
        cases=("masked_paths",),
    ),
    Difference(
        "a mount point made for a file needs no x bit",
        r"^(left: \S+/(?:missing|socket|b/file|resolv.conf|hosts|hostname)) -rwxr-xr-x",
        r"\1 -rw-r--r--",
        cases=("docker", "bind_of_a_file", "bind_of_a_socket_and_a_device", "deep_destinations"),
        on="1.1.5",
    ),
    Difference(
        "the mode of the directory below is given to mount, not set afterwards",
        r"^(mount: / (?:/mnt|/a/b/inner) r.* - tmpfs tmpfs rw) ",
        r"\1,mode=755 ",
        cases=("bind_over_the_same_place", "order_of_nested_mounts"),
        on="1.1.5",
    ),
    Difference(
        "the mode of the directory below is given to mount, not set afterwards",
        r"^(mount: / /private .*size=1024k) ",
        r"\1,mode=700 ",
        cases=("tmpfs_over_a_directory",),
        on="1.1.5",
    ),
    Difference(
        "a mode that is asked for wins over the directory's, as in runc 1.2",
        r"^(list: /moded dir) 700",
        r"\1 755",
        cases=("tmpfs_over_a_directory",),
        on="1.1.5",
    ),
    Difference(
        "tmpcopyup copies the directory's mode with all else; newer runc gives it to mount as well",
        r"^(mount: / /data \S+ - tmpfs tmpfs rw),mode=755",
        r"\1",
        cases=("tmpfs_copied_up",),
        on="1.1.15",
    ),
    Difference(
        "the bind mounts of v1 cgroups take no part in the host's propagation",
        r"^(mount: \S+ /sys/fs/cgroup/.*)shared:",
        r"\1master:",
        cases=("root_propagation_slave", "root_propagation_private"),
        on="v1",
    ),
    Difference(
        "runc 1.1 forgets rootfsPropagation after pivot_root; later versions do as pyrunc",
        r"^(mount: \S+/rootfs / ro,relatime) ",
        r"\1 shared:/ ",
        cases=("root_propagation_shared", "root_propagation_rshared"),
    ),
    Difference(
        "see above",
        r"^(mount: \S+/rootfs / ro,relatime) - ",
        r"\1 unbindable - ",
        cases=("root_propagation_unbindable",),
        on="1.1.15",
    ),
    Difference(
        "see above: all of them",
        r"^(mount: \S+ \S+ [^- ]+) - ",
        r"\1 unbindable - ",
        cases=("root_propagation_runbindable",),
        on="1.1.15",
    ),
    Difference(
        "see above; and the bind mounts of v1 cgroups are slaves of the host's",
        r"^(mount: \S+ /sys/fs/cgroup/.*)shared:",
        r"\1master:",
        cases=("root_propagation_shared",),
        on="v1",
    ),
    Difference(
        "see above: what came from the host is its slave",
        r"^(mount: \S+ /sys/fs/cgroup/.* shared:)(\S+) - ",
        r"\1\2 master:\2 - ",
        cases=("root_propagation_rshared",),
        on="v1",
    ),
    Difference(
        "see above",
        r"^(mount: \S+ /mnt/rslave \S+) - ",
        r"\1 shared:/mnt/rslave - ",
        cases=("root_propagation_rshared",),
    ),
    Difference(
        "see above: the two mounts of the masking tmpfs are not each other's peers",
        r"^(mount: / /sys/firmware \S+) - ",
        r"\1 shared:/sys/firmware - ",
        cases=("root_propagation_rshared",),
    ),
    Difference(
        "see above: all mounts are shared; those of one file system here are peers",
        r"^(mount: \S+ /\S* [^-: ]+) - (.*device of (/\S*)\))",
        r"\1 shared:\3 - \2",
        cases=("root_propagation_rshared",),
    ),
    Difference(
        "in a new cgroup namespace the named hierarchy is mounted like the others",
        r"^(mount: / /sys/fs/cgroup/systemd .* - cgroup) systemd ",
        r"\1 cgroup ",
        cases=("cgroup_namespace", "joined_cgroup"),
        on="v1",
    ),
    Difference(
        "runc run copies between pipes of its own, made for the mapped root; pyrunc passes its own",
        r"^(fd: [0-2] fifo access .* owner) \d+:0 ",
        r"\1 65534:65534 ",
        cases=(*MAPPED_ROOT, *ROOTLESS),
    ),
    Difference(
        "the IPC namespace is made by the mapped root, so mqueue's directory is its",
        r"^(dev: /dev/mqueue dir 1777) \d+:65534",
        r"\1 0:0",
        cases=MAPPED_ROOT,
    ),
    Difference(
        "runc 1.1 gives the tmpfs the mode of the directory in sysfs that it covers",
        r"^(path: /sys/fs/cgroup dir) 555 0:0 filled mkdir EACCES",
        r"\1 755 0:0 filled mkdir ok",
        cases=("cgroup_mount_rw",),
        on="v1",
    ),
    Difference(
        "a bind mount without the option bind is refused before anything is made",
        r"^left: rootfs/.*\n",
        "",
        cases=("bind_by_type_alone",),
    ),
    Difference(
        "a file system is made before its mount point, so nothing is left if that fails",
        r"^left: rootfs/mnt .*\n",
        "",
        cases=(
            "option_that_the_file_system_refuses",
            "type_that_does_not_exist",
        ),
    ),
    Difference(
        "runc refuses a root path with a link in it; pyrunc resolves it once",
        "symlink",
        cases=("root_path_absolute_through_a_link",),
        refuses="peer",
    ),
    Difference(
        "runc 1.1 makes the root unbindable before it has to bind it",
        "invalid argument",
        cases=("root_propagation_unbindable", "root_propagation_runbindable"),
        refuses="peer",
        on="1.1.5",
    ),
    Difference(
        "runc 1.1 makes read-only by path what another mount covers by then",
        "no such file or directory",
        cases=("mount_covered_by_a_later_one",),
        refuses="peer",
    ),
    Difference(
        "runc looks for the container's /dev/null even if nobody needs it",
        "stat /dev/null: no such file",
        cases=("own_dev_without_null",),
        refuses="peer",
    ),
    Difference(
        "the version of the specification that each follows",
        r'("ociVersion": )"1\.[02]\.[0-9a-z-]*"',
        r'\1"1.3.0"',
        cases=("hooks", "state"),
    ),
    Difference(
        "hooks read the state from a memfd: a hook that reads nothing cannot block us",
        r"^((?:prestart|create\w+|post\w+)-\d: fd: 0) fifo access 0 (.*) mode 600",
        r"\1 file access 2 \2 mode 777",
        cases=("hooks",),
    ),
    Difference(
        "the same; and hooks inside have the container's output instead of a pipe of runc's",
        r"^(startContainer-\d: fd: )0 fifo access 0 (.*) mode 600\n\S+ fd: 1 .*\n\S+ fd: 2 .*",
        r"\g<1>0 file access 2 \2 mode 777\n"
        r"\g<1>1 char 1:3 access 2 \2 mode 666\n\g<1>2 char 1:3 access 2 \2 mode 666",
        cases=("hooks",),
    ),
    Difference(
        "prestart hooks come after `start` is called, by config.md (decision 50)",
        r'^(prestart-\d: state: .*"status": )"creating"',
        r'\1"created"',
        cases=("hooks",),
    ),
    Difference(
        "runc raises its limit of locked memory for bpf(2), and its hooks inherit that",
        r"^((?:prestart|createRuntime|poststart)-\d: rlimit: 8) -1 -1",
        r"\1 8388608 8388608",
        cases=("hooks",),
        on="v2",
    ),
    Difference(
        "the process's limits are set after the last step that they could hinder",
        r"^(createContainer-\d: rlimit: 7 1024) 1024",
        r"\1 524288",
        cases=("hooks",),
        on="v2",
    ),
    Difference(
        "hooks have a session of their own: a timeout kills all of it",
        r"^(\w+-\d: process: pid other ppid \S+ sid) \S+ pgrp \S+",
        r"\1 self pgrp self",
        cases=("hooks",),
    ),
    Difference(
        "runc leaks three descriptors of its init to createContainer hooks",
        r"^createContainer-\d: fd: [345] .*\n",
        "",
        cases=("hooks",),
    ),
    Difference(
        "poststart hooks run when the process has started, so it is running",
        r'^(poststart-\d: state: .*"status": )"created"',
        r'\1"running"',
        cases=("hooks",),
    ),
    Difference(
        "without a cgroup namespace the host's cgroup2 mount is bound, and keeps its source's name",
        r"( - cgroup2) cgroup ",
        r"\1 none ",
        cases=("v2_without_a_cgroup_namespace",),
        on="v1",
    ),
    Difference(
        "without a cgroup namespace the host's cgroup2 mount is bound: a new one, as runc makes it,"
        " takes nsdelegate and memory_recursiveprot from all cgroups of the host",
        r" - cgroup2 cgroup rw ",
        r" master:/sys/fs/cgroup - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot ",
        cases=("v2_without_a_cgroup_namespace", "docker"),
        on="v2",
    ),
    Difference(
        "runc masks the cgroups of an ordinary user's container; pyrunc mounts its own",
        r"^(mount: / /sys/fs/cgroup ro),relatime - tmpfs tmpfs \S+ (\(on /sys/fs/cgroup, .*)",
        r"\1,nosuid,nodev,noexec,relatime - cgroup2 cgroup"
        r" rw,nsdelegate,memory_recursiveprot \2",
        cases=ROOTLESS,
        on="1.1.15",
    ),
    Difference(
        "poststop hooks start in the bundle, as all other hooks of the runtime do",
        r"^(poststop-\d: process: cwd ).*$",
        r"\1BUNDLE",
        cases=("hooks_cwd",),
    ),
    Difference(
        "shares become a weight so that the default stays the default, as in runc since 1.3",
        r"^(v2: cpu.weight: )20\n(v2: cpu.weight.nice: )7",
        r"\g<1>59\n\g<2>2",
        cases=("limits_cpu",),
        on="v2",
    ),
    Difference(
        "see above",
        r"^(v2: cpu.weight: )4\n(v2: cpu.weight.nice: )14",
        r"\g<1>17\n\g<2>8",
        cases=("limits_all",),
        on="v2",
    ),
    # After those that make mounts shared.
    Difference(
        "newer runc makes the mount below the root private, so that what is bound from it is no"
        " slave of the host's; pyrunc leaves it as it is, as 1.1.5 does",
        r"^(mount: \S+ (?!/mnt/r?private|/etc/host|/etc/resolv|/b)\S+ [^- ]+"
        r"(?: shared:\S+)?) - ext4 ",
        r"\1 master:/ - ext4 ",
        unless=(
            "root_propagation_private",
            "root_propagation_rprivate",
            "root_propagation_shared",
            "root_propagation_rshared",
            "root_propagation_unbindable",
        ),
        on="1.1.15",
    ),
)
