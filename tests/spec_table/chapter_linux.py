# SPDX-License-Identifier: Apache-2.0
"""Rows about `linux` beside its resources."""

# A table: its rows are not wrapped.
# ruff: noqa: E501
# fmt: off

from __future__ import annotations

from pyrunc.spec import names
from tests.spec_table.row import Chapter, Row

_BROKEN = "spec_check_linux:every_broken_rule_is_named_where_it_is_broken"
_MAPS = "spec_check_linux:maps_that_the_kernel_refuses spec_check_linux:maps_that_the_kernel_takes"
_RDT = "resctrl:a_group_of_its_own"

NAMESPACES = (
    Row("linux.namespaces", "listed: new, or joined; not listed: the runtime's; twice: refused",
        f"spec_linux:a_namespace_that_is_listed_is_new spec_linux:a_namespace_that_is_not_listed_is_the_runtimes spec_linux:a_namespace_with_a_path_is_joined {_BROKEN}"),
    Row("linux.namespaces[].type", "one of eight, else refused", f"spec_linux:a_namespace_that_is_listed_is_new {_BROKEN}", "", names.NAMESPACES),
    Row("linux.namespaces[].path", "absolute, of that type, else refused", f"spec_linux:a_namespace_with_a_path_is_joined lifecycle:namespaces_of_the_wrong_type {_BROKEN} bundles:same[joined_network]",
        "runc refuses a comma in it"),
    Row("joined user and mount namespaces", "with the host's rights as long as they last", "bundles:same[joined_user] bundles:same[joined_user_and_network] bundles:same[joined_mount] bundles:same[joined_pid]"),
    Row("a new network namespace", "its loopback is up", "spec_linux:an_interface_of_ones_own"),
    Row("a cgroup namespace", "rooted in the container's own cgroup", "bundles:same[cgroup_namespace] bundles:same[v2_default]"),
    Row("linux.uidMappings", "written from outside; for a new user namespace both are needed, without one they are ignored with a warning",
        f"spec_linux:id_maps spec_check_linux:a_new_user_namespace_needs_both_maps bundles:same[user_namespace_of_several_ranges] {_BROKEN}", "crun makes maps up from /etc/subuid"),
    Row("linux.gidMappings", "as uidMappings", f"spec_linux:id_maps spec_check_linux:a_new_user_namespace_needs_both_maps bundles:same[user_namespace_of_several_ranges] {_BROKEN}",
        "crun makes maps up from /etc/subgid"),
    Row("linux.uidMappings[].containerID", "no overlap", f"spec_linux:id_maps {_MAPS} spec_check_linux:ranges_overlap_exactly_when_they_share_an_id"),
    Row("linux.uidMappings[].hostID", "no overlap", f"spec_linux:id_maps {_MAPS} spec_check_linux:ranges_overlap_exactly_when_they_share_an_id"),
    Row("linux.uidMappings[].size", "at least 1", f"spec_linux:id_maps {_MAPS}"),
    Row("more than 340 ranges", "refused", "spec_check_linux:maps_that_the_kernel_refuses"),
    Row("owners in the root filesystem", "never changed", "spec_linux:the_root_filesystem_keeps_its_owners"),
    Row("linux.timeOffsets", "of a new time namespace, written before its first process", "process:clocks spec_check_linux:time_offsets_need_a_new_time_namespace spec_check_linux:time_offsets_are_checked"),
    Row("linux.timeOffsets.*.secs", "absent is 0; out of the kernel's range: refused", "process:clocks process:a_clock_out_of_range"),
    Row("linux.timeOffsets.*.nanosecs", "absent is 0", "process:clocks spec_check_linux:time_offsets_are_checked"),
)

DEVICES = (
    Row("linux.devices", "made after the mounts; not where /dev is a bind mount", f"spec_linux:a_device bundles:same[dev_of_the_host] {_BROKEN}"),
    Row("linux.devices[].type", "c, u (the same), b, p", f"spec_linux:a_device {_BROKEN}"),
    Row("linux.devices[].path", "anywhere in the container, parents made; something else there: refused",
        f"spec_linux:a_device spec_linux:a_device_where_something_else_stands {_BROKEN}", "both accept whatever is there"),
    Row("linux.devices[].major", "required but for p", f"spec_linux:a_device {_BROKEN}"),
    Row("linux.devices[].minor", "required but for p", f"spec_linux:a_device {_BROKEN}"),
    Row("linux.devices[].fileMode", "the permission bits; absent: 0666; the umask does not matter", "spec_linux:a_device bundles:same[umask_of_the_caller] bundles:same[devices]"),
    Row("linux.devices[].uid", "in the container's numbers; absent: 0", "spec_linux:a_device bundles:same[devices]"),
    Row("linux.devices[].gid", "in the container's numbers; absent: 0", "spec_linux:a_device bundles:same[devices]"),
    Row("default devices and links", "null zero full random urandom tty; fd stdin stdout stderr ptmx; one that is listed takes its place",
        "spec_linux:default_devices_and_links bundles:same[devices_that_are_default] bundles:same[no_dev_mount]"),
    Row("devices in a user namespace", "the host's are bound", "bundles:same[user_namespace_of_the_same_ids] rootless:within_another_user_namespace", "crun can make them outside"),
    Row("linux.netDevices", "moved in with their addresses; never moved back", f"devices_moved:a_device_moves_with_its_addresses devices_moved:a_device_that_is_not_there devices_moved:without_a_namespace_to_go_to {_BROKEN}"),
    Row("linux.netDevices.*.name", "the new name; taken: refused; the kernel may fill in %d", "devices_moved:a_device_moves_with_its_addresses devices_moved:a_name_that_is_taken devices_moved:names_that_are_none",
        "runc looks for the name with %d in it"),
)

REST = (
    Row("linux.cgroupsPath", "absolute: below the cgroup's root; relative: beside our own; absent: by the id; colons: for systemd",
        "spec_linux:the_cgroup_is_where_it_is_asked_for lives:cgroups_path cgroup_layout:place systemd_unit:a_path_names_a_unit cgroup_layout:paths_that_name_no_cgroup", "crun takes all as absolute"),
    Row("a cgroup that is used or frozen", "refused, and left alone", "cgroups_fs:a_used_cgroup_is_refused_and_left_alone cgroups_fs:a_frozen_cgroup_is_refused", "crun does not look"),
    Row("linux.resources", "see below; the device filter is there even if this is absent", "lives:limits cgroups_fs:device_filter", "crun filters devices only where rules are"),
    Row("linux.sysctl", "by a list of those that a namespace of the container's has; written through a procfs that nothing covers",
        "spec_linux:a_sysctl spec_linux:a_sysctl_of_the_hosts_own_network spec_check_linux:a_sysctl_needs_the_namespace_that_it_belongs_to spec_check_linux:sysctls_of_the_host_and_tricks_with_names_are_refused "
        "spec_check_linux:sysctl_paths_follow_the_first_separator bundles:same[sysctls]", "crun writes them before the mounts", names.IPC_SYSCTLS),
    Row("linux.rootfsPropagation", "one of eight; absent: the host's slave, whatever comes from there", f"spec_linux:propagation_of_the_root spec_linux:the_default_propagation_is_a_slaves {_BROKEN}",
        "crun's default is private; runc 1.1 forgets shared", names.PROPAGATIONS),
    Row("linux.maskedPaths", "a file shows as the null device, a directory as an empty one; a missing one is passed over",
        f"spec_linux:a_masked_path_is_empty hostile_image:masks_hold hostile_image:masks_need_the_null_device {_BROKEN} spec_check_linux:paths_need_a_mount_namespace"),
    Row("linux.readonlyPaths", "bound on themselves, read-only; a missing one is passed over", f"spec_linux:a_read_only_path bundles:same[readonly_paths] bundles:same[masked_inside_readonly] {_BROKEN}", "crun masks first"),
    Row("linux.mountLabel", "context= for each filesystem but proc and sysfs", "plan_golden:the_plan_is_the_one_that_was_reviewed", "crun can use other words by annotation"),
    Row("linux.intelRdt", "resctrl has to be there; absent: nothing is touched", f"{_RDT} resctrl:a_host_without"),
    Row("linux.intelRdt.closID", "absent: a group by the id, removed at the end; given: has to be there, or is made for schemata, and stays", f"{_RDT} resctrl:a_creation_that_fails_takes_back_what_it_made resctrl:a_group_of_somebody_else_stays resctrl:refused {_BROKEN}",
        "runc's later delete may forget to remove it"),
    Row("linux.intelRdt.l3CacheSchema", "a line of schemata; a group that is there has to have it", f"{_RDT} resctrl:a_group_of_somebody_else_with_another_schema {_BROKEN}", "runc does not compare"),
    Row("linux.intelRdt.memBwSchema", "a line of schemata, starting with MB:", f"resctrl:refused {_BROKEN}"),
    Row("linux.intelRdt.schemata", "lines, after the two above", f"{_RDT} {_BROKEN}"),
    Row("linux.intelRdt.enableMonitoring", "a group of mon_groups, removed at the end", "resctrl:monitoring"),
    Row("linux.memoryPolicy", "set by set_mempolicy(2)", "process:memory_policy process:memory_of_a_node_that_is_not_there"),
    Row("linux.memoryPolicy.mode", "one of seven; nodes as the mode needs them", f"process:memory_policy {_BROKEN}", "", names.MEMORY_MODES),
    Row("linux.memoryPolicy.nodes", "a list like 0-3,7", f"process:memory_policy process:memory_of_a_node_that_is_not_there {_BROKEN}"),
    Row("linux.memoryPolicy.flags", "known ones", f"process:memory_policy {_BROKEN}", "", names.MEMORY_FLAGS),
    Row("linux.personality", "set by personality(2)", "process:personality"),
    Row("linux.personality.domain", "LINUX or LINUX32", f"process:personality {_BROKEN}", "", names.PERSONALITY_DOMAINS),
    Row("linux.personality.flags", "none are defined: a warning", "spec_check_linux:what_is_odd_but_allowed_is_a_warning"),
)

_OPERATOR = "spec_seccomp:an_operator"
SECCOMP = (
    Row("linux.seccomp", "compiled by libseccomp, loaded last; without no_new_privs while there is the right to; an empty one is none",
        "spec_seccomp:an_empty_object_is_no_filter bundles:same[seccomp_with_no_new_privileges] bundles:same[seccomp_without_no_new_privileges] seccomp:every_call_under_dockers_profile_is_as_under_runc"),
    Row("linux.seccomp.defaultAction", "required where there are rules; not NOTIFY", f"spec_seccomp:the_default_action {_BROKEN}"),
    Row("linux.seccomp.defaultErrnoRet", "EPERM by default; refused where the action uses none", f"spec_seccomp:the_default_action {_BROKEN}", "runc passes over it"),
    Row("linux.seccomp.architectures", "the native one always; calls of one that is not listed are killed", f"spec_seccomp:an_architecture {_BROKEN}", "runc lacks some", names.SECCOMP_ARCHES),
    Row("linux.seccomp.flags", "absent: SPEC_ALLOW; unknown: refused", f"spec_seccomp:flags_that_the_kernel_is_given seccomp:flags {_BROKEN}", "crun tries again without", names.SECCOMP_FLAGS),
    Row("linux.seccomp.listenerPath", "gets the state and the listener; has to answer", f"seccomp:an_agent_answers seccomp:an_agent_that_is_not_there {_BROKEN}"),
    Row("linux.seccomp.listenerMetadata", "passed on; refused without the path", f"seccomp:an_agent_answers {_BROKEN}"),
    Row("linux.seccomp.syscalls", "in their order", "spec_seccomp:an_error_in_the_place_of_a_call bundles:same[seccomp_arguments]"),
    Row("linux.seccomp.syscalls[].names", "those that no kernel has are passed over; none: a warning", f"spec_seccomp:names_that_no_kernel_has_are_skipped {_BROKEN}"),
    Row("linux.seccomp.syscalls[].action", "one of nine", f"spec_seccomp:actions_that_let_pass spec_seccomp:actions_that_kill spec_seccomp:an_error_in_the_place_of_a_call seccomp:an_agent_answers {_BROKEN}", "", names.SECCOMP_ACTIONS),
    Row("linux.seccomp.syscalls[].errnoRet", "EPERM by default; refused where the action uses none",
        f"spec_seccomp:an_error_in_the_place_of_a_call spec_seccomp:an_errno_that_the_action_does_not_use {_BROKEN}", "runc passes over it"),
    Row("linux.seccomp.syscalls[].args", "hold together; one argument twice is two rules", "spec_seccomp:arguments_of_one_rule_hold_together spec_seccomp:one_argument_twice_is_two_rules"),
    Row("linux.seccomp.syscalls[].args[].index", "0 to 5", f"{_OPERATOR} {_BROKEN}"),
    Row("linux.seccomp.syscalls[].args[].value", "64 bits", f"{_OPERATOR} spec_seccomp:numbers_have_64_bits"),
    Row("linux.seccomp.syscalls[].args[].valueTwo", "for MASKED_EQ; absent is 0", _OPERATOR),
    Row("linux.seccomp.syscalls[].args[].op", "one of seven", f"{_OPERATOR} {_BROKEN}", "", names.SECCOMP_OPERATORS),
    Row("calls newer than the profile", "ENOSYS, so that libc falls back", "seccomp_stub:what_is_newer_than_the_profile seccomp_stub:every_call seccomp:every_call_under_dockers_profile_is_as_under_runc", "crun has no such stub"),
    Row("a filter in force early", "our own later calls get by with those of 2018", "lifecycle:a_profile_older_than_the_calls_that_we_use"),
)

CHAPTERS = (
    Chapter("linux: namespaces, ids, clocks", "", NAMESPACES),
    Chapter("linux: devices", "", DEVICES),
    Chapter("linux: the rest", "", REST),
    Chapter("linux.seccomp", "", SECCOMP),
)
