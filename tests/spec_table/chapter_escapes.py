# SPDX-License-Identifier: Apache-2.0
"""Rows about ways out of containers: published ones, and those of their kinds."""

# A table: its rows are not wrapped.
# ruff: noqa: E501
# fmt: off

from __future__ import annotations

from tests.spec_table.row import Chapter, Row

_SHAPES = "escapes:proc_and_sys_of_every_odd_shape bad_input:proc_and_sys_that_are_links"
_PROC = "hostile_image:nothing_is_mounted_into_proc"
_MASKS = "hostile_image:masks_need_the_null_device escapes:masks_need_the_null_device_and_no_other"
_CONSOLE = "escapes:console_of_every_odd_shape terminal:console_that_is_a_link escapes:a_master_that_is_none layers:init_names_no_terminal"
_PLANTED = "escapes:names_that_we_make_are_planted_as_links"
_FDS = "escapes_caller:descriptors_of_the_caller escapes_caller:a_parked_container_holds_nothing_of_the_hosts lifecycle:descriptors_of_the_caller_do_not_get_in"
_EXE = "escapes_caller:the_program_that_enters_cannot_be_written"
_CAPS = "escapes_caller:a_user_gets_no_capability_that_is_not_ambient"
_NUMBERS = "escapes_caller:numbers_out_of_range_do_not_wrap"
_RACE = "escapes:a_volume_that_changes_meanwhile"
_LABEL = "process:a_label_that_nothing_enforces plan_order:the_order_is_safe_in_the_golden_plans"

RUNC = (
    Row("CVE-2015-3627, 3629, 3630, 3631", "nothing is mounted into /proc, no link of the image is followed out", f"{_PROC} {_FDS}"),
    Row("CVE-2016-3697, containerd CVE-2026-46680", "numbers only, with their ranges; names are nobody's", f"escapes_caller:numbers_are_no_names {_NUMBERS}"),
    Row("CVE-2016-8867", "ambient as listed", _CAPS),
    Row("CVE-2016-9962, lxc CVE-2016-8649", "not dumpable before the first namespace is joined; no descriptor of the host's", f"escapes_caller:who_joins_cannot_be_traced escapes_caller:who_shares_the_processes_sees_nothing_of_the_host {_FDS} plan_order:the_order_is_safe_in_the_golden_plans"),
    Row("CVE-2019-5736", "what enters is a sealed, static copy", f"{_EXE} escapes_caller:the_program_that_enters_needs_no_library"),
    Row("CVE-2019-16884", "only a procfs on /proc; labels through our own", f"{_PROC} {_LABEL}"),
    Row("CVE-2019-19921", "/proc has to be a directory", f"{_SHAPES} escapes:proc_that_changes_meanwhile"),
    Row("runc#1962 `--no-pivot`", "the host's proc and sys are covered", "roots:no_pivot"),
    Row("CVE-2021-30465", "mounts go from descriptor to descriptor", f"{_RACE} hostile_image:mount_points_behind_links_stay_inside"),
    Row("CVE-2021-43784", "lengths are checked on both sides", "plan_wire:mutated_plans_are_refused_or_decoded plan_wire:every_cut_of_a_plan_is_refused plan_wire:refused spec_check_linux:maps_that_the_kernel_refuses"),
    Row("CVE-2022-29162, CVE-2022-24769, 27649, 27650, 27651", "nothing inheritable that is not listed", _CAPS),
    Row("CVE-2023-25809", "a cgroup mount is read-only if it says so; without permission there is none", "cgroup_behaviour:the_root_of_a_user_namespace_manages_its_cgroup rootless:a_cgroup_without_permission bundles:same[v2_without_a_cgroup_namespace]"),
    Row("CVE-2023-27561", "as CVE-2019-19921", _SHAPES),
    Row("CVE-2023-28642", "as CVE-2019-19921", _SHAPES),
    Row("GHSA-5g49-rx9x-qfc6 cgroup file names", "names of one file", "spec_check_linux:every_broken_rule_is_named_where_it_is_broken cgroup_values:no_name_of_unified_leaves_the_cgroup cgroup_behaviour:refusals_are_one_line_and_leave_nothing cgroup_limits:symbolic_links_are_not_followed"),
    Row("CVE-2024-21626", "nothing of the caller's is open; the working directory has to lie inside", f"{_FDS} escapes_caller:a_working_directory_of_the_host"),
    Row("CVE-2024-45310", "made below a descriptor of the parent", f"{_RACE} hostile_image:mount_points_behind_links_stay_inside"),
    Row("CVE-2025-31133", "the null device is verified; else an error", f"{_MASKS} escapes:every_default_mask_is_one hostile_image:masks_hold"),
    Row("masks below a /proc that is moved meanwhile", "looked up on the procfs that we have mounted, wherever it is by then", "escapes:masks_below_a_proc_that_was_moved"),
    Row("CVE-2025-52565", "a pty of a verified devpts", f"{_CONSOLE} escapes:a_devpts_of_the_image"),
    Row("CVE-2025-52881", "labels and sysctls through a procfs of our own", f"spec_linux:a_sysctl {_RACE} plan_order:the_order_is_safe_in_the_golden_plans layers:init_names_nothing_below_proc"),
    Row("CVE-2026-41579", "/dev is never followed", "hostile_image:dev_that_is_a_link hostile_image:a_device_that_is_a_link_to_the_hosts"),
    Row("runc#5351, crun#2114 `exec --cgroup`", "only a cgroup below the container's own", "exec:a_cgroup_below"),
    Row("runc#2404 propagation by mountinfo", "never decided by reading; the clone is detached before it is attached", "roots:no_pivot_leaves_the_host_alone bundles:same[propagation_by_default_on_a_shared_host] plan_order:the_order_is_safe_in_the_golden_plans"),
    Row("runc#5403 BPF_PROG_QUERY", "the attribute has its whole size", "cgroups_fs:device_filter cgroup_behaviour:200_containers_leave_no_cgroup_and_no_bpf_program"),
)

OTHERS = (
    Row("crun CVE-2019-18837", "the kernel resolves, by openat2(2)", "hostile_image:mount_points_behind_links_stay_inside escapes:parents_that_are_links_to_nowhere_else"),
    Row("crun 1.28 overflow", "forty links, as the kernel has it", "escapes:long_chains_of_links"),
    Row("crun CVE-2025-24965", "no file is written into the image but mount points", _PLANTED),
    Row("crun CVE-2026-84042", "no program is looked up after the namespaces are entered", "plan_order:the_order_is_safe_in_the_golden_plans layers:init_names_nothing_below_proc"),
    Row("crun CVE-2026-30892", "one parser of numbers", f"{_NUMBERS} spec_process:user"),
    Row("crun CVE-2026-47766", "/dev is never followed", f"hostile_image:dev_that_is_a_link {_PLANTED}"),
    Row("crun CVE-2026-88264", "the console's place is made without following", _CONSOLE),
    Row("crun CVE-2026-88265", "/dev/null is verified before it becomes stdio", _PLANTED),
    Row("crun#2074 ids", "runc's grammar", "bad_input:ids"),
    Row("crun 1.29: frozen after a failed kill", "always thawed", "cgroups_fs:a_failing_kill_does_not_leave_it_frozen cgroup_behaviour:a_frozen_container_is_deleted_by_force"),
    Row("youki CVE-2025-27612", "nobody gets an inheritable capability unasked", _CAPS),
    Row("youki CVE-2025-54867", "/proc and /sys must be plain directories", _SHAPES),
    Row("youki CVE-2025-62161", "the null device is verified; else an error", _MASKS),
    Row("youki CVE-2025-62596", "labels are written through a procfs of our own", _LABEL),
    Row("youki 0.7.0: a limit that is not there", "every limit is read back", "cgroup_limits:what_the_kernel_does_not_keep_is_an_error cgroup_limits:comparison"),
    Row("lxc CVE-2015-1331, 1334, 1335", "the container's /proc is never used, mount points are not followed", f"{_SHAPES} layers:init_names_nothing_below_proc hostile_image:mount_points_behind_links_stay_inside"),
    Row("lxc CVE-2016-10124, bubblewrap CVE-2017-5226", "a session of its own, without a controlling terminal", "escapes_caller:the_callers_terminal_is_not_the_containers"),
    Row("lxc-user-nic", "pyrunc has no setuid program", reason="there is nothing to break"),
    Row("bubblewrap CVE-2016-8659, 2020-5291, 2026-41163", "the command refuses to be setuid", "escapes_caller:a_setuid_command_refuses"),
    Row("bubblewrap CVE-2019-12439, 2024-42472, 2026-87766", "the old root is never at a path of the new one", f"escapes:parents_that_are_links_to_nowhere_else {_RACE}"),
    Row("CRI-O CVE-2022-0811", "a list of keys, one write for each", "spec_check_linux:sysctls_of_the_host_and_tricks_with_names_are_refused spec_check_linux:the_same_sysctl_twice_is_refused"),
    Row("NVIDIA CVE-2024-0132, 0133, 2025-23266, 23267, 2026-24260", "a hook's environment is its own", "escapes_caller:what_hooks_see"),
    Row("docker CVE-2019-14271, 2018-15664", "the program that enters is static and asks nobody for names", "escapes_caller:the_program_that_enters_needs_no_library"),
    Row("containerd CVE-2020-15257", "no abstract sockets", "escapes_caller:no_socket_has_an_abstract_name"),
    Row("kernel CVE-2022-0492", "cgroups are mounted read-only by default; release_agent is never written", "bundles:same[default] bundles:same[cgroup_namespace]"),
    Row("CRI-O CVE-2024-3154", "a list of properties, with their types", "systemd_unit:annotations_refused systemd:an_annotation_that_would_run_something"),
    Row("podman CVE-2026-94603", "cgroup, mounts, hooks and namespaces come from config.json; of an image's own files only names of pipes are read", "criu:binds_hooks_and_a_network_from_outside criu:an_image_decides_nothing criu:bad_images"),
    Row("podman CVE-2026-57231", "NAME=value, or refused", "spec_check:every_broken_rule_is_named_where_it_is_broken hostile_image:program_and_environment_of_the_caller_stay_out"),
    Row("links with a slash at the end; kill of process groups", "in-root; cgroup.kill or a pidfd", "spec_mount_options:a_destination_is_made_inside cgroups_fs:kill_reaches_sub_cgroups_and_frozen_processes hostile_image:masks_hold"),
)

RECIPES = (
    Row("T-proc-shape", "shapes of /proc and /sys, still and raced", f"{_SHAPES} escapes:proc_that_changes_meanwhile"),
    Row("T-mount-race", "a volume that changes while mounts are made in it (25 attempts for each target)", _RACE),
    Row("T-masks", "every odd /dev/null, every default mask", f"{_MASKS} escapes:every_default_mask_is_one hostile_image:masks_hold"),
    Row("T-console", "every odd console, read-only or not; a devpts that is none", f"{_CONSOLE} escapes:a_devpts_of_the_image terminal:console_socket"),
    Row("T-fdcwd", "descriptors in the working directory, the program, links and scripts", _FDS),
    Row("T-exe", "the entering program, and the host's files beside it", _EXE),
    Row("T-lsm", "a label that cannot be set is an error", _LABEL),
    Row("T-hooks-env", "what each of the six hooks sees", "escapes_caller:what_hooks_see lives:hooks"),
    Row("T-plan", "random, mutated, cut and largest plans", "plan_wire:mutated_plans_are_refused_or_decoded plan_wire:every_cut_of_a_plan_is_refused plan_wire:refused"),
    Row("T-ids", "ids, cgroup paths, closIDs, annotations", "bad_input:ids escapes_caller:no_cgroup_path_climbs spec_check_linux:every_broken_rule_is_named_where_it_is_broken systemd_unit:annotations_refused cgroup_layout:paths_that_name_no_cgroup"),
    Row("T-bpf", "what may be opened and made, before and after a change", "cgroups_fs:device_filter device_filter:program_decides_as_the_policy systemd:the_device_filter_survives_a_reload_and_a_change_of_limits bundles:same[device_rules]"),
)

CHAPTERS = (
    Chapter("Escapes: runc's", "Advisory, rule of the design (R), test.", RUNC),
    Chapter("Escapes: those of others", "", OTHERS),
    Chapter("Escapes: recipes", "The larger tests, by the names that the design gave them.", RECIPES),
)
