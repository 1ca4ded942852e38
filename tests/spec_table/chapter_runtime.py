# SPDX-License-Identifier: Apache-2.0
"""Rows about runtime.md and bundle.md."""

# A table: its rows are not wrapped.
# ruff: noqa: E501
# fmt: off

from __future__ import annotations

from tests.spec_table.row import Chapter, Row

_LIFE = "lifecycle:a_life"
_HOOK = "spec_hooks:a_hook_that_fails_ends_the_create"
_BROKEN = "spec_check:every_broken_rule_is_named_where_it_is_broken"
_LINUX = "spec_check_linux:every_broken_rule_is_named_where_it_is_broken"

RUNTIME = (
    Row("who created a container can use every operation on it", "yes, also an ordinary user", "rootless:its_life lifecycle:a_life"),
    Row("state: ociVersion, id, status, pid, bundle, annotations", "as required; bundle is absolute", f"{_LIFE} lives:state lives:state_without_annotations"),
    Row("status: creating, created, running, stopped", "computed from what is there; paused is added", f"{_LIFE} spec_hooks:a_hook_gets_its_arguments_environment_and_the_state lives:state"),
    Row("pid as seen by who asks", "in hooks inside, the container's", "spec_hooks:a_hook_gets_its_arguments_environment_and_the_state", "crun: 0"),
    Row("the state fits state-schema.json", "it does", "spec_runtime:the_state_fits_the_schema"),
    Row("create makes the whole environment, or fails", "what fails is undone", "faults:a_system_call_that_fails_is_rolled_back faults:sigkill_after_every_system_call_of_create"),
    Row("the program does not run before start", "it waits in pyrunc-init", "spec_runtime:nothing_runs_before_start"),
    Row("config.json after create does not matter", "all is kept in the plan and the state", "spec_runtime:a_later_config_does_not_matter", "runc's exec reads it again"),
    Row("a failing prestart hook", "error, all is undone, poststop hooks", _HOOK),
    Row("a failing createRuntime hook", "the same", _HOOK),
    Row("a failing createContainer hook", "the same", _HOOK),
    Row("a failing startContainer hook", "the program never runs; stopped", "spec_hooks:a_start_container_hook_that_fails"),
    Row("start runs what process says", "yes", f"{_LIFE} spec_process:arguments_are_passed_as_they_are lifecycle:exit_codes_of_run"),
    Row("poststart hooks", "a failing one kills the container, and start fails", "spec_hooks:a_poststart_hook_that_fails"),
    Row("delete undoes what create did", "cgroup, state, groups of resctrl; nothing is left", "lifecycle:run_leaves_nothing_and_keep_leaves_the_stopped_container faults:five_hundred_lives_leave_nothing"),
    Row("poststop hooks", "all run, a failing one is a warning", "spec_hooks:a_poststop_hook_that_fails_is_a_warning", "runc ends at the first that fails"),
    Row("an error leaves things as they were", "yes", "bad_input:properties faults:a_system_call_that_fails_is_rolled_back spec_runtime:an_error_changes_nothing"),
    Row("a warning changes nothing in what happens", "one line, exit 0", "spec_runtime:a_warning_changes_nothing spec_process:an_unknown_capability_is_a_warning"),
    Row("state: without or with an unknown id", "error", f"{_LIFE} lifecycle:command_line_forms lives:replies"),
    Row("create: duplicate or wrong id, no bundle", "error, and the first one lives on", "lifecycle:fifty_of_one_id bad_input:ids bad_input:no_bundle"),
    Row("create applies all but process", "the cgroup and the namespaces are there before start", "lives:limits spec_linux:the_cgroup_is_where_it_is_asked_for spec_runtime:nothing_runs_before_start"),
    Row("a property that cannot be applied", "error, no container", "bad_input:properties cgroup_behaviour:refusals_are_one_line_and_leave_nothing"),
    Row("start: wrong id, or not created", "error, without effect", f"{_LIFE} lifecycle:two_starts_at_once lives:replies"),
    Row("start: no process", "refused at create already", _BROKEN, "crun makes such a container"),
    Row("kill: neither created nor running", "error, without effect", f"{_LIFE} lives:replies"),
    Row("kill delivers the signal to the process", "to the first one, by pidfd", "lives:ends lifecycle:signals_reach_the_program"),
    Row("delete: not stopped", "error, without effect; a created one is killed, as with runc", f"{_LIFE} lives:replies"),
    Row("delete removes what create made and nothing else", "and the id can be used again", "spec_runtime:an_id_can_be_used_again lives:cgroups_path resctrl:a_group_of_somebody_else_stays"),
    Row("hooks: order, state on stdin, absolute path", "yes", f"spec_hooks:hooks_run_in_the_order_of_a_life spec_hooks:a_hook_gets_its_arguments_environment_and_the_state {_BROKEN}"),
    Row("the bundle's config.json and root", "that name exactly; root.path", "bad_input:no_config spec_process:the_root_is_relative_to_the_bundle_or_absolute"),
    Row("only stdio is open; /dev/fd, stdin, stdout, stderr", "yes", "spec_process:only_stdio_is_open spec_linux:default_devices_and_links"),
    Row("namespaces: wrong type, twice", "error", f"lifecycle:namespaces_of_the_wrong_type {_LINUX}"),
    Row("namespaces: new, joined, inherited", "yes", "spec_linux:a_namespace_that_is_listed_is_new spec_linux:a_namespace_with_a_path_is_joined spec_linux:a_namespace_that_is_not_listed_is_the_runtimes"),
    Row("the default devices; a file that is none", "made; error", "spec_linux:default_devices_and_links spec_linux:a_device_where_something_else_stands", "both accept what is there"),
    Row("a cgroup that does not fit", "error", "cgroups_fs:a_used_cgroup_is_refused_and_left_alone cgroups_fs:a_frozen_cgroup_is_refused cgroup_layout:paths_that_name_no_cgroup", "crun does not look"),
    Row("v1 properties that v2 has not", "error", "cgroup_limits:what_is_not_supported_on_v2_is_refused cgroup_limits:real_time_needs_v1 cgroup_values:leaf_weights_are_refused_on_v2 cgroup_values:network", "runc passes over them"),
    Row("unified: a controller that is not there", "error", "cgroup_limits:missing_controllers_are_refused_only_when_asked_for cgroup_controllers:refusals"),
    Row("rlimits: what getrlimit(2) says afterwards", "the same", f"spec_process:a_limit_of_resources {_BROKEN}"),
    Row("capabilities that nobody can grant", "unknown ones: a warning", "spec_process:an_unknown_capability_is_a_warning spec_check:what_is_odd_but_allowed_is_a_warning"),
    Row("features lists what is accepted", "every word that it lists can be used", "spec_features:the_document_has_what_engines_read spec_runtime:what_features_lists_is_what_has_rows"),
)

CHAPTERS = (Chapter("runtime.md and bundle.md", "", RUNTIME),)
