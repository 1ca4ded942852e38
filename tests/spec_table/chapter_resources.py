# SPDX-License-Identifier: Apache-2.0
"""Rows about `linux.resources`."""

# A table: its rows are not wrapped.
# ruff: noqa: E501
# fmt: off

from __future__ import annotations

from tests.spec_table.row import Chapter, Row

_BROKEN = "spec_check_linux:every_broken_rule_is_named_where_it_is_broken"
_VALUES = "cgroup_controllers:values"
_KEPT = "cgroup_limits:what_the_kernel_does_not_keep_is_an_error"
_V2_NONE = "cgroup_limits:what_is_not_supported_on_v2_is_refused"
_RULE = "spec_linux:a_device_rule_decides device_filter:program_decides_as_the_policy"
_RUNC_V2 = "runc passes over it on v2"

DEVICES = (
    Row("linux.resources.devices", "in their order, after deny-all and before the default devices; by BPF, on v1 by devices.*",
        f"{_RULE} cgroups_fs:device_filter device_filter:default_rules_come_last_and_cannot_be_denied bundles:same[device_rules] bundles:same[v2_device_rules]"),
    Row("linux.resources.devices[].allow", "absent is false, with a warning", f"{_RULE} spec_check_linux:what_others_take_is_taken_with_a_warning spec_fields:every_field_refuses_every_other_json_type"),
    Row("linux.resources.devices[].type", "a, c, b; absent: a", f"{_RULE} device_filter:rules_add_up_and_take_away {_BROKEN}"),
    Row("linux.resources.devices[].major", "absent or -1: all", f"{_RULE} device_filter:wrong_rules {_BROKEN}"),
    Row("linux.resources.devices[].minor", "absent or -1: all", f"{_RULE} device_filter:no_hole_in_a_wildcard {_BROKEN}"),
    Row("linux.resources.devices[].access", "letters of rwm, at least one; others are passed over with a warning", f"{_RULE} device_filter:denying_one_way_denies_accesses_that_include_it {_BROKEN}"),
)

MEMORY = (
    Row("linux.resources.memory", "what was written is read back, and has to be there", f"{_VALUES} {_KEPT} lives:limits"),
    Row("linux.resources.memory.limit", "memory.max, or limit_in_bytes; -1: none; 0: not set", "lives:limits_differ_from_none cgroup_limits:memory_on_v2_is_written_swap_first cgroup_limits:memory_order_on_v1 cgroup_behaviour:a_process_over_its_memory_limit_is_killed_and_the_exit_says_so"),
    Row("linux.resources.memory.reservation", "memory.low, or soft_limit_in_bytes", f"cgroup_limits:other_memory_on_v1 cgroup_limits:memory_on_v2_is_written_swap_first {_BROKEN}"),
    Row("linux.resources.memory.swap", "memory and swap; v2 gets the difference; not without or below the limit", "cgroup_limits:swap_on_v2 cgroup_limits:swap_without_limit cgroup_limits:wrong_memory cgroup_limits:memory_order_on_v1"),
    Row("linux.resources.memory.kernel", "v1: passed over; v2: refused", f"{_V2_NONE} {_VALUES}", "runc passes over it everywhere"),
    Row("linux.resources.memory.kernelTCP", "v1: passed over; v2: refused", f"{_V2_NONE} {_VALUES}", "runc passes over it everywhere"),
    Row("linux.resources.memory.swappiness", "0 to 100; 2^64-1 is not set (old Docker); v2: refused", f"{_V2_NONE} cgroup_limits:other_memory_on_v1 {_BROKEN}", _RUNC_V2),
    Row("linux.resources.memory.disableOOMKiller", "v1: oom_control; v2: refused", f"{_V2_NONE} cgroup_limits:other_memory_on_v1 cgroup_controllers:the_oom_killer_can_be_turned_off", _RUNC_V2),
    Row("linux.resources.memory.useHierarchy", "passed over: kernels do nothing else any more", "cgroup_limits:what_v2_does_by_itself_is_not_refused", "crun refuses it on v2"),
    Row("linux.resources.memory.checkBeforeUpdate", "refuses a limit that is below what is used", "cgroup_limits:check_before_update cgroup_controllers:check_before_update"),
)

CPU = (
    Row("linux.resources.cpu", "as the members say", f"cgroup_limits:cpu {_VALUES}"),
    Row("linux.resources.cpu.shares", "cpu.shares; v2: a weight, so that the default stays the default", "cgroup_limits:cpu cgroup_limits:weight_of_shares cgroup_limits:weight_never_falls lives:limits", "crun and runc before 1.3 convert differently"),
    Row("linux.resources.cpu.quota", "cpu.max, or cfs_quota_us; -1: none; 0: not set", "cgroup_limits:cpu lives:limits_differ_from_none cgroup_behaviour:a_quota_holds"),
    Row("linux.resources.cpu.burst", "cpu.max.burst, or cfs_burst_us; not above the quota", "cgroup_limits:cpu cgroup_limits:burst_above_quota"),
    Row("linux.resources.cpu.period", "cpu.max, or cfs_period_us", "cgroup_limits:cpu lives:limits_differ_from_none"),
    Row("linux.resources.cpu.realtimeRuntime", "v1: set before the process joins; v2: refused", "cgroup_limits:cpu cgroup_limits:real_time_needs_v1", _RUNC_V2),
    Row("linux.resources.cpu.realtimePeriod", "v1: set before the process joins; v2: refused", "cgroup_limits:cpu cgroup_limits:real_time_needs_v1", _RUNC_V2),
    Row("linux.resources.cpu.cpus", "cpuset.cpus", "cgroup_limits:cpuset cgroup_limits:comparison lives:limits_differ_from_none cgroups_fs:cpuset_is_filled_below_new_and_empty_parents"),
    Row("linux.resources.cpu.mems", "cpuset.mems", "lives:limits cgroup_controllers:refusals"),
    Row("linux.resources.cpu.idle", "0 or 1; idle needs no weight", f"cgroup_limits:cpu {_BROKEN}"),
)

OTHERS = (
    Row("linux.resources.pids", "see its limit", "cgroup_limits:pids cgroup_behaviour:a_fork_bomb_stays_below_its_limit"),
    Row("linux.resources.pids.limit", "pids.max; absent or -1: none; 0 becomes 1, the container itself, with a warning", f"cgroup_limits:pids lives:limits_differ_from_none {_BROKEN}", "crun takes 0 for not set"),
    Row("linux.resources.blockIO", "an empty one asks for nothing", "cgroup_values:an_empty_object_asks_for_no_controller bundles:same[block_io_that_asks_for_nothing]"),
    Row("linux.resources.blockIO.weight", "10 to 1000, 0: not set; bfq's file, or a weight of v2", f"cgroup_values:weights_on_v1 cgroup_values:weights_on_v2 cgroup_values:weight {_BROKEN} bundles:same[block_io_weight_zero]"),
    Row("linux.resources.blockIO.leafWeight", "v1; v2: refused", f"cgroup_values:weights_on_v1 cgroup_values:leaf_weights_are_refused_on_v2 {_BROKEN}", _RUNC_V2),
    Row("linux.resources.blockIO.weightDevice", "one line each", f"cgroup_values:weights_on_v1 cgroup_values:weights_on_v2 {_BROKEN}"),
    Row("linux.resources.blockIO.weightDevice[].major", "a block device's", f"cgroup_values:weights_on_v1 cgroup_values:weights_on_v2 {_BROKEN}"),
    Row("linux.resources.blockIO.weightDevice[].minor", "a block device's", f"cgroup_values:weights_on_v1 cgroup_values:weights_on_v2 {_BROKEN}"),
    Row("linux.resources.blockIO.weightDevice[].weight", "this or leafWeight is required", f"cgroup_values:weights_on_v1 cgroup_values:weights_on_v2 {_BROKEN}"),
    Row("linux.resources.blockIO.weightDevice[].leafWeight", "this or weight is required", f"cgroup_values:weights_on_v1 {_BROKEN}"),
    Row("linux.resources.blockIO.throttleReadBpsDevice", "rbps of io.max, or its file of blkio", "cgroup_values:throttles cgroup_controllers:throttles"),
    Row("linux.resources.blockIO.throttleWriteBpsDevice", "wbps of io.max, or its file of blkio", "cgroup_values:throttles cgroup_controllers:throttles"),
    Row("linux.resources.blockIO.throttleReadIOPSDevice", "riops of io.max, or its file of blkio", "cgroup_values:throttles cgroup_controllers:throttles"),
    Row("linux.resources.blockIO.throttleWriteIOPSDevice", "wiops of io.max, or its file of blkio", "cgroup_values:throttles cgroup_controllers:throttles"),
    Row("linux.resources.blockIO.throttleReadBpsDevice[].major", "a whole block device's, else refused", f"cgroup_values:throttles cgroup_behaviour:refusals_are_one_line_and_leave_nothing {_BROKEN}"),
    Row("linux.resources.blockIO.throttleReadBpsDevice[].minor", "a whole block device's, else refused", f"cgroup_values:throttles {_BROKEN}"),
    Row("linux.resources.blockIO.throttleReadBpsDevice[].rate", "0 and 2^64-1: none", "cgroup_values:throttles cgroup_values:rates_that_are_no_limit"),
    Row("linux.resources.hugepageLimits", "with the reservation's limit, where the kernel has it", "cgroup_values:huge_pages cgroup_values:no_limit_on_huge_pages"),
    Row("linux.resources.hugepageLimits[].pageSize", "a size that this host has, spelt as the kernel does", f"cgroup_values:huge_pages cgroup_values:a_size_that_the_host_lacks cgroup_values:sizes_are_spelt_as_the_kernel_does {_BROKEN}"),
    Row("linux.resources.hugepageLimits[].limit", "in bytes", "cgroup_values:huge_pages"),
    Row("linux.resources.network", "v1; v2: refused", "cgroup_values:network cgroup_controllers:rare_controllers_of_v1", _RUNC_V2),
    Row("linux.resources.network.classID", "net_cls.classid", "cgroup_values:network cgroup_controllers:rare_controllers_of_v1", _RUNC_V2),
    Row("linux.resources.network.priorities", "net_prio.ifpriomap", "cgroup_values:network cgroup_controllers:rare_controllers_of_v1", _RUNC_V2),
    Row("linux.resources.network.priorities[].name", "one word, an interface that is there", f"cgroup_values:network cgroup_controllers:refusals_of_rare_controllers_of_v1 {_BROKEN}"),
    Row("linux.resources.network.priorities[].priority", "32 bits", "cgroup_values:network spec_fields:every_integer_has_its_range"),
    Row("linux.resources.rdma", "rdma.max, a line for each device", f"cgroup_values:rdma {_BROKEN}", "crun does not know it"),
    Row("linux.resources.rdma.*.hcaHandles", "this or hcaObjects is required", f"cgroup_values:rdma {_BROKEN}", "crun does not know it"),
    Row("linux.resources.rdma.*.hcaObjects", "this or hcaHandles is required", f"cgroup_values:rdma {_BROKEN}", "crun does not know it"),
    Row("linux.resources.unified", "v2 files by name, last, over all else; v1: refused; a controller that is not there: refused",
        f"cgroup_values:unified cgroup_values:unified_names_that_are_refused cgroup_values:no_name_of_unified_leaves_the_cgroup cgroup_limits:unified_needs_v2 {_BROKEN}"),
    Row("a controller that is not there", "refused when it is asked for, by name", "cgroup_limits:missing_controllers_are_refused_only_when_asked_for cgroup_limits:a_missing_file_names_the_controller cgroup_controllers:a_missing_controller_is_named"),
    Row("limits under systemd", "as the unit's properties, and the files", "systemd_unit:limits_as_properties systemd_unit:devices_as_properties systemd:a_scope_with_its_limits"),
    Row("a cgroup that is the container's to manage", "v2, own cgroup namespace, writable mount: its files get its owner", "cgroup_controllers:delegation cgroup_behaviour:the_root_of_a_user_namespace_manages_its_cgroup", "runc with systemd only"),
)

CHAPTERS = (
    Chapter("linux.resources: devices", "", DEVICES),
    Chapter("linux.resources: memory", "", MEMORY),
    Chapter("linux.resources: cpu", "", CPU),
    Chapter("linux.resources: the others", "", OTHERS),
)
