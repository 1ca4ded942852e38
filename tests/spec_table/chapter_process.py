# SPDX-License-Identifier: Apache-2.0
"""Rows about `process` and `hooks`."""

# A table: its rows are not wrapped.
# ruff: noqa: E501
# fmt: off

from __future__ import annotations

from pyrunc.spec import names
from tests.spec_table.row import Chapter, Row

_BROKEN = "spec_check:every_broken_rule_is_named_where_it_is_broken"
_EDGE = "spec_check:values_at_the_edge_of_a_rule_are_taken"
_DEADLINE = "spec_process:a_deadline spec_process:a_deadline_out_of_order"

PROCESS = (
    Row("process.terminal", "a pty from the container's own devpts, over /dev/console; its master goes to the console socket, or is copied by run",
        "terminal:console_socket terminal:foreground_under_a_pty spec_process:a_terminal_is_asked_for_or_not lives:terminal",
        "crun makes /dev/console a link in some cases"),
    Row("terminal and console socket", "refused where one is given without the other", "bad_input:console_socket_rules"),
    Row("process.consoleSize", "the size that the terminal starts with; ignored without one",
        "terminal:console_socket spec_process:a_size_without_a_terminal_is_ignored"),
    Row("process.consoleSize.height", "rows", "terminal:console_socket", "runc ignores both if one is 0"),
    Row("process.consoleSize.width", "columns", "terminal:console_socket", "runc ignores both if one is 0"),
    Row("process.args", "at least one; looked up in the container's PATH as the container's user; a program that is not there fails the create",
        f"spec_process:arguments_are_passed_as_they_are spec_process:the_program_is_looked_up_in_the_containers_path bad_input:commands {_BROKEN}"),
    Row("process.env", "NAME=value each, else refused; of two the last wins; nothing of the caller's gets in; HOME from the container's passwd",
        f"spec_process:environment spec_process:home_comes_from_the_containers_passwd {_BROKEN} bundles:same[environment_twice]",
        "crun takes entries as they are"),
    Row("process.cwd", "absolute; made if missing (0755); entered as the runtime and again as the user; has to lie inside",
        f"spec_process:a_working_directory_is_made spec_process:a_working_directory_of_the_user_alone {_BROKEN} escapes_caller:descriptors_of_the_caller",
        "crun notices a failing mkdir late"),
    Row("process.user", "absent is root's", "spec_load:a_process_without_user_runs_as_root spec_process:user"),
    Row("process.user.uid", "set; absent is 0; unmapped is refused", "spec_process:user bundles:same[uid_1000_without_a_home] escapes_caller:ids_that_are_not_mapped"),
    Row("process.user.gid", "set; absent is 0; unmapped is refused", "spec_process:user bundles:same[uid_1000_without_a_home] escapes_caller:ids_that_are_not_mapped"),
    Row("process.user.umask", "set, the bits that umask(2) takes; absent is 022, no matter whose the caller's is", f"spec_process:umask {_BROKEN} bundles:same[umask_of_the_caller]",
        "the same; the text would keep the caller's"),
    Row("process.user.additionalGids", "are all the groups; refused where they cannot be set",
        f"spec_process:user spec_process:groups_of_the_caller_are_dropped rootless:groups_that_cannot_be_had {_BROKEN}"),
    Row("the owner of stdio", "becomes the process's user, for pipes and terminals",
        "spec_process:stdio_belongs_to_the_user bundles:same[uid_1000_with_a_home]"),
    Row("descriptors", "0, 1, 2 and those to preserve; no others", "spec_process:only_stdio_is_open escapes_caller:a_parked_container_holds_nothing_of_the_hosts lifecycle:descriptors_of_the_caller_do_not_get_in lifecycle:preserved_descriptors"),
    Row("process.capabilities", "absent: none; a name that nobody knows is a warning",
        "spec_process:without_capabilities_there_are_none spec_process:an_unknown_capability_is_a_warning spec_check:what_is_odd_but_allowed_is_a_warning",
        "crun refuses unknown names; newer runc leaves absent ones alone", names.CAPABILITIES),
    Row("process.capabilities.bounding", "all others are dropped", "spec_process:a_capability_set_holds_what_is_listed bundles:same[capabilities_differing_sets]"),
    Row("process.capabilities.effective", "as listed; execve(2) makes it anew", "spec_process:all_five_sets_of_the_process_that_waits spec_process:sets_before_execve"),
    Row("process.capabilities.inheritable", "as listed", "spec_process:a_capability_set_holds_what_is_listed bundles:same[capabilities_differing_sets]"),
    Row("process.capabilities.permitted", "as listed; what cannot be had fails the create", "spec_process:all_five_sets_of_the_process_that_waits spec_process:sets_before_execve bundles:same[capabilities_unknown_to_the_host]"),
    Row("process.capabilities.ambient", "as listed; those that are not permitted are left out", "spec_process:a_capability_set_holds_what_is_listed bundles:same[capabilities_ambient_not_permitted]"),
    Row("process.rlimits", "set from outside, as late as can be; the same twice is refused", f"spec_process:a_limit_of_resources bundles:same[rlimits_all] {_BROKEN}",
        "neither notices the same twice", names.RLIMITS),
    Row("process.rlimits[].type", "one of 16, else refused", f"spec_process:a_limit_of_resources {_BROKEN}"),
    Row("process.rlimits[].soft", "2^64-1 is none; not above hard", f"spec_process:a_limit_of_resources spec_process:no_limit_is_a_number_too {_BROKEN}"),
    Row("process.rlimits[].hard", "2^64-1 is none", "spec_process:a_limit_of_resources spec_process:no_limit_is_a_number_too"),
    Row("process.noNewPrivileges", "set before a filter that relies on it", "spec_process:no_new_privileges plan_order:the_order_is_safe_in_the_golden_plans"),
    Row("process.apparmorProfile", "for the program, from execve on; refused where AppArmor is off",
        "process:a_label_that_nothing_enforces plan_golden:the_plan_is_the_one_that_was_reviewed", "crun passes over it where AppArmor is off"),
    Row("process.selinuxLabel", "for the program and the keyring; refused where SELinux is off",
        "process:a_label_that_nothing_enforces plan_golden:the_plan_is_the_one_that_was_reviewed"),
    Row("process.oomScoreAdj", "-1000 to 1000; absent: left alone", f"spec_process:oom_score spec_process:an_oom_score_that_is_not_set_stays {_BROKEN}"),
    Row("process.scheduler", "set by sched_setattr(2)", "process:scheduler process:a_deadline_that_is_none"),
    Row("process.scheduler.policy", "one of seven, else refused", f"process:scheduler {_DEADLINE} {_BROKEN}", "crun has no SCHED_ISO", names.SCHED_POLICIES),
    Row("process.scheduler.nice", "-20 to 19 for OTHER and BATCH", f"process:scheduler {_BROKEN}"),
    Row("process.scheduler.priority", "FIFO and RR only", f"process:scheduler {_BROKEN}"),
    Row("process.scheduler.flags", "known ones; as bits", f"spec_process:a_flag_of_the_scheduler process:scheduler {_BROKEN}", "", names.SCHED_FLAGS),
    Row("process.scheduler.runtime", "DEADLINE only", f"{_DEADLINE} {_BROKEN}"),
    Row("process.scheduler.deadline", "DEADLINE only", f"{_DEADLINE} {_BROKEN}"),
    Row("process.scheduler.period", "DEADLINE only", f"{_DEADLINE} {_BROKEN}"),
    Row("process.ioPriority", "set by ioprio_set(2)", "process:io_priority"),
    Row("process.ioPriority.class", "one of three", f"process:io_priority {_BROKEN}", "", names.IOPRIO_CLASSES),
    Row("process.ioPriority.priority", "0 to 7; absent is 0, with a warning", f"process:io_priority {_BROKEN}"),
    Row("process.execCPUAffinity", "of a process that `exec` starts; the container's program has none of it", f"exec:processors {_BROKEN}"),
    Row("process.execCPUAffinity.initial", "set before the process is in the container's cgroup", "exec:processors", "crun and runc 1.1 do not know it"),
    Row("process.execCPUAffinity.final", "set once it is", f"exec:processors {_BROKEN}"),
    Row("NOTIFY_SOCKET", "a socket of the container's own is given in its place", "notify:start_waits_until_the_program_is_ready notify:run_in_the_foreground_attends_meanwhile"),
    Row("signals that the caller ignores or blocks", "are at their defaults inside", "lifecycle:signals_that_the_caller_ignores_are_not_inherited", "runc passes some on"),
    Row("the session keyring", "one of the container's own", "bundles:same[default] bundles:same[no_new_keyring]"),
)

_ARGS = "spec_hooks:a_hook_gets_its_arguments_environment_and_the_state"
_PLACE = "spec_hooks:a_hook_runs_in_the_namespaces_of_its_side"
_CREATE = "spec_hooks:a_hook_that_fails_ends_the_create"

HOOKS = (
    Row("hooks.prestart", "in the runtime's namespaces, when the container's are made; failing ends the create",
        f"spec_hooks:hooks_run_in_the_order_of_a_life {_ARGS} {_PLACE} {_CREATE} lives:hooks", "", names.HOOKS),
    Row("hooks.createRuntime", "right after prestart", f"spec_hooks:hooks_run_in_the_order_of_a_life {_ARGS} {_PLACE} {_CREATE} lives:hooks"),
    Row("hooks.createContainer", "in the container's namespaces, before pivot_root(2)",
        f"spec_hooks:hooks_run_in_the_order_of_a_life {_ARGS} {_PLACE} {_CREATE} lives:hooks_that_mount", "crun writes 0 as pid"),
    Row("hooks.startContainer", "in the container, when started, with the program's rights",
        f"spec_hooks:hooks_run_in_the_order_of_a_life {_ARGS} {_PLACE} spec_hooks:a_start_container_hook_that_fails", "crun's status is \"starting\""),
    Row("hooks.poststart", "when the program runs; failing kills the container and fails the start",
        f"spec_hooks:hooks_run_in_the_order_of_a_life {_ARGS} {_PLACE} spec_hooks:a_poststart_hook_that_fails", "runc 1.1 runs them before the program"),
    Row("hooks.poststop", "when all is gone; failing is a warning, the others run",
        f"spec_hooks:hooks_run_in_the_order_of_a_life {_ARGS} {_PLACE} spec_hooks:a_poststop_hook_that_fails_is_a_warning", "runc ends at the first that fails"),
    Row("hooks.*[].path", "absolute; in the runtime's tree, for startContainer in the container's",
        f"spec_hooks:a_path_that_is_no_program {_BROKEN} spec_check:every_hook_list_is_checked"),
    Row("hooks.*[].args", "argv as it is; absent: the path alone", f"{_ARGS} spec_hooks:a_hook_without_arguments_gets_its_path"),
    Row("hooks.*[].env", "exactly; absent: outside the runtime's, in createContainer none, in startContainer the process's",
        f"{_ARGS} spec_hooks:env_that_is_missing escapes_caller:what_hooks_see"),
    Row("hooks.*[].timeout", "greater than 0; then its whole session is killed", f"spec_hooks:a_hook_that_takes_too_long_is_killed {_BROKEN}", "runc kills the hook alone"),
    Row("the state on a hook's stdin", "ociVersion, id, status, pid as seen there, bundle, annotations", f"{_ARGS} lives:hooks", "crun adds root"),
)

CHAPTERS = (Chapter("process", "", PROCESS), Chapter("hooks", "", HOOKS))
