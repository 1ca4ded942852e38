# SPDX-License-Identifier: Apache-2.0
"""The part of known_crun.py about mounts and propagation."""

from __future__ import annotations

from tests.differential.difference import Difference
from tests.differential.known import ROOTLESS

# Without a network namespace of its own a container of a user namespace has the host's sysfs.
BOUND = ("user_namespace_without_a_network_one", *ROOTLESS)
MOUNTS = (
    Difference(
        "a mount point is made 0755, as runc; crun gives it the sticky bit for the mount over it",
        r"^(left: rootfs/\S+ drwxr-xr-)t",
        r"\1x",
        spec="both",
    ),
    Difference(
        "the same, seen from inside",
        r"^(list: /\w+ dir )1755",
        r"\g<1>755",
        unless=("umask_of_the_caller",),
        spec="both",
    ),
    Difference(
        "the same: what is mounted over it takes its mode",
        r"^(mount: / /a .*,mode=)1755",
        r"\g<1>755",
        cases=("mount_covered_by_a_later_one",),
        spec="both",
    ),
    Difference(
        "mount points obey the caller's umask, as runc; crun's umask is 0 while it makes them",
        r"^(left: rootfs/\S+ d)rwxr-xr-x",
        r"\1rwx------",
        cases=("umask_of_the_caller",),
        spec="both",
    ),
    Difference(
        "the same, seen from inside",
        r"^(list: /(?:made|also)\S* dir )1?755",
        r"\g<1>700",
        cases=("umask_of_the_caller",),
        spec="both",
    ),
    Difference(
        "tmpcopyup copies the directory's mode with all else",
        r"^(mount: / /data \S+ - tmpfs tmpfs rw),mode=755",
        r"\1",
        cases=("tmpfs_copied_up",),
        spec="both",
    ),
    Difference(
        "a bind mount without the option bind is refused before anything is made",
        r"^left: rootfs/.*\n",
        "",
        cases=("bind_by_type_alone",),
        spec="both",
    ),
    Difference(
        "a file system is made before its mount point, so nothing is left if that fails",
        r"^left: rootfs/mnt .*\n",
        "",
        cases=(
            "option_that_the_file_system_refuses",
            "type_that_does_not_exist",
        ),
        spec="both",
    ),
    Difference(
        "a destination is cleaned before it is made, as runc; crun makes the mnt of /mnt/../up",
        r"^left: rootfs/mnt .*\n",
        "",
        cases=("odd_destinations",),
        spec="both",
    ),
    Difference(
        "a later option undoes its opposite, as with mount(8) and runc; in crun flags add up",
        r"^(mount: \S+ /mnt/a )ro,",
        r"\1rw,",
        cases=("the_last_option_wins",),
        spec="pyrunc",
    ),
    Difference(
        "the same",
        r"^(mount: \S+ /mnt/b ro),nosuid,nodev",
        r"\1",
        cases=("the_last_option_wins",),
        spec="pyrunc",
    ),
    Difference(
        "the same",
        r"^(mount: \S+ /mnt/c rw),noexec,noatime",
        r"\1,relatime",
        cases=("the_last_option_wins",),
        spec="pyrunc",
    ),
    Difference(
        "the same",
        r"^(mount: / /mnt/d )ro ",
        r"\1rw ",
        cases=("the_last_option_wins",),
        spec="pyrunc",
    ),
    Difference(
        "the same for recursive options",
        r"^(mount: \S+ /mnt )ro,nosuid,nodev,noexec,relatime",
        r"\1rw,relatime",
        cases=("recursive_options_undone",),
        spec="pyrunc",
    ),
    Difference(
        "nosymfollow is an option of the specification since 1.1; crun does not know it",
        r"^(mount: \S+ /mnt rw,relatime)",
        r"\1,nosymfollow",
        cases=("no_symbolic_links_followed",),
        spec="pyrunc",
    ),
    Difference(
        "the same",
        r"^path: /mnt/link file .*",
        "path: /mnt/link ELOOP",
        cases=("no_symbolic_links_followed",),
        spec="pyrunc",
    ),
    Difference(
        "a bind mount asks for `shared`: crun forgets it",
        r"^(mount: \S+ (/mnt/r?shared) rw,relatime) - ",
        r"\1 shared:\2 - ",
        cases=("propagation_options", "propagation_options_on_a_shared_host"),
        spec="pyrunc",
    ),
    Difference(
        "the same with `unbindable`",
        r"^(mount: \S+ /mnt/r?unbindable rw,relatime) - ",
        r"\1 unbindable - ",
        cases=("propagation_options", "propagation_options_on_a_shared_host"),
        spec="pyrunc",
    ),
    Difference(
        "a bind mount keeps the source's flags if no other is asked for, as runc; crun drops them",
        r"^(mount: \S+ (?:/dev/other|/mnt/all) r[wo]) - devtmpfs ",
        r"\1,nosuid - devtmpfs ",
        cases=("bind_of_a_socket_and_a_device", "bind_with_submounts"),
        spec="both",
    ),
)


def _from_below_the_root(line: str) -> bool:
    """Under `shared` the mount below the root is private, and so is what is cloned from it."""
    return line.endswith(" shared:/") or line.endswith(" shared:/mnt/rslave")


PROPAGATION = (
    Difference(
        "see below",
        r"^(mount: \S+ (/sys\S*) [^- ]+) - (sysfs sysfs|cgroup2 cgroup2) (.*\(on (?:/|/sys), )",
        r"\1 master:\2 - \3 \4",
        cases=BOUND,
        spec="both",
    ),
    Difference(
        "mounts of one file system are peers of each other, as they were when they were cloned",
        r"^(mount: \S+ /proc/\S+ ro,relatime shared:/proc)/\S+ - proc ",
        r"\1 - proc ",
        cases=("root_propagation_rshared",),
        spec="both",
    ),
    Difference(
        "the same",
        r"^(mount: /null /proc/\S+ rw,nosuid) - ",
        r"\1 shared:/dev - ",
        cases=("root_propagation_rshared",),
        spec="both",
    ),
    Difference(
        "what is bound from the host remains its slave, see below",
        r"^(mount: \S+ (?:/mnt|/host)/(?!var)\S+ \S+) - (mqueue|devpts|tmpfs|proc|sysfs)"
        r" (.*device of (\S+)\))",
        r"\1 master:\4 - \2 \3",
        cases=("bind_with_submounts", "bind_of_a_readonly_source", "whole_host"),
        spec="both",
    ),
    Difference(
        "the same",
        r"^(mount: \S+ (/(?:mnt|host)/\S*cgroup) \S+) - cgroup2 (?!cgroup )",
        r"\1 master:\2 - cgroup2 ",
        cases=("bind_of_a_readonly_source", "whole_host"),
        spec="both",
    ),
    Difference(
        "the same",
        r"^(mount: \S+ (/dev/(?:mqueue|pts|shm)) \S+) - (mqueue|devpts|tmpfs) ",
        r"\1 master:\2 - \3 ",
        cases=("dev_of_the_host",),
        spec="both",
    ),
    Difference(
        "the same: crun's bind mount also loses the source's nosuid, nodev and noexec",
        r"^mount: /.. (/mnt/cgroup rw),(relatime master:)/mnt/cgroup ",
        r"mount: /../.. \1,nosuid,nodev,noexec,\2/mnt/cgroup ",
        cases=("bind_of_a_readonly_source",),
        spec="both",
    ),
    Difference(
        "a mount's own options come after rootfsPropagation, as runc; crun's rprivate reaches all",
        r"^(mount: \S+ (/mnt/(?:rshared|tmpfs)) rw,relatime) - ",
        r"\1 shared:\2 - ",
        cases=("root_propagation_rprivate",),
        spec="pyrunc",
    ),
    Difference(
        "what is bound with the host's tree are the container's mounts as they are when all are"
        " made; crun binds them before they are made read-only",
        r"^(mount: / /host/var\S+/rootfs/sys(?:/fs/cgroup)? )rw(\S+ - )(sysfs sysfs r.|cgroup2) ",
        lambda m: f"{m[1]}ro{m[2]}{m[3].replace('rw', 'ro')} ",
        cases=("whole_host",),
        spec="both",
    ),
    # The last: what others have changed is a mount of the host's, too.
    Difference(
        "without rootfsPropagation what came from the host remains the host's slave, as with runc:"
        " what is mounted there later appears here; crun makes all private",
        r"^(mount: \S+ (?!/mnt/r?private|/etc/host|/etc/resolv|/b )\S+ [^- ]+(?: shared:\S+)?) - "
        r"(devtmpfs|ext4|bpf|fusectl|pstore|configfs|debugfs|securityfs|tracefs|hugetlbfs|autofs)"
        r" (.*device of (\S+)\))",
        lambda m: (
            m[0]
            if m[2] == "ext4" and _from_below_the_root(m[1])
            else f"{m[1]} master:{'/' if m[2] == 'ext4' else m[4]} - {m[2]} {m[3]}"
        ),
        unless=("root_propagation_private", "root_propagation_rprivate"),
        spec="both",
    ),
)
