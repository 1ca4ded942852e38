# SPDX-License-Identifier: Apache-2.0
"""Rows about the document as a whole, `root` and `mounts`."""

# A table: its rows are not wrapped.
# ruff: noqa: E501
# fmt: off

from __future__ import annotations

from pyrunc.spec import names
from tests.spec_table.row import Chapter, Row

DOCUMENT = (
    Row("right and wrong documents", "judged as by the specification's JSON schemas, but for a list with reasons", "spec_corpus:who_agrees_and_who_does_not"),
    Row("an unknown member", "ignored", "spec_load:unknown_members_are_ignored"),
    Row("a member of another type or out of range", "refused before anything is made, by pointer",
        "spec_fields:every_field_refuses_every_other_json_type spec_fields:every_integer_has_its_range "
        "bad_input:properties", "crun is laxer in places"),
    Row("a member in another case", "counts, with a warning; beside the right one: refused",
        "spec_fields:every_name_in_another_case_counts_but_not_twice spec_check:a_name_in_another_case_counts",
        "runc takes both, the last one wins; crun ignores it"),
    Row("a member twice", "refused, but in objects that nobody knows; names of a map may differ in case only",
        "spec_check:a_key_twice_is_refused_where_it_counts_only spec_check:two_names_of_a_map_may_differ_in_case_only "
        "jsontext:what_go_reads_is_read_with_a_warning", "runc takes the last one"),
    Row("a misspelt member", "ignored, with a warning that has the likely word",
        "spec_check:what_others_take_is_taken_with_a_warning", "both ignore it silently"),
    Row("`null`", "a null member is an absent one; a null document is refused",
        "spec_fields:every_field_takes_its_own_type_and_null_is_absent bad_input:documents"),
    Row("ociVersion", "a version of major 1; 0.x and shorter ones with a warning, else refused",
        "spec_check:every_broken_rule_is_named_where_it_is_broken spec_check:values_at_the_edge_of_a_rule_are_taken",
        "neither looks at it"),
    Row("process", "required at create", "spec_check:every_broken_rule_is_named_where_it_is_broken",
        "crun makes the container, and fails inside"),
    Row("root", "required", "spec_check:every_broken_rule_is_named_where_it_is_broken"),
    Row("linux", "may be absent: then there are no namespaces",
        "spec_check:a_document_without_linux_has_no_namespaces", "crun requires it"),
    Row("mounts", "made in their order", "spec_mount_options:mounts_come_in_their_order "
        "bundles:same[order_of_nested_mounts]"),
    Row("hooks", "see below", "spec_hooks:hooks_run_in_the_order_of_a_life"),
    Row("hostname", "set in the uts namespace, which has to be listed; also where that is joined",
        "spec_linux:names spec_check:names_need_a_uts_namespace "
        "bundles:same[joined_uts_with_a_hostname]"),
    Row("domainname", "as hostname", "spec_linux:names spec_check:names_need_a_uts_namespace",
        "runc 1.1 does not know it"),
    Row("annotations", "in the state, as they are; null is the empty string",
        "spec_linux:annotations_are_in_the_state lives:state "
        "spec_check:every_broken_rule_is_named_where_it_is_broken"),
    Row("`org.systemd.property.*`", "a unit's property, by a list of harmless ones, with their types",
        "systemd_unit:annotations systemd_unit:annotations_refused "
        "systemd:an_annotation_that_would_run_something", "both take any property"),
)

ROOT = (
    Row("root.path", "relative to the bundle; links are resolved once; has to be a directory",
        "spec_process:the_root_is_relative_to_the_bundle_or_absolute "
        "spec_process:a_root_that_is_a_file bundles:same[root_path_absolute_through_a_link]",
        "runc refuses a path with a link in it"),
    Row("root.readonly", "last, when all that lies in it is made",
        "spec_process:the_root_is_read_only_or_not bundles:same[readonly_root_false]"),
    Row("the root in a user namespace", "what the host has locked (nosuid, nodev, ...) stays",
        "bundles:same[user_namespace] rootless:its_life"),
    Row("no mount namespace", "chroot; whatever would change the host's mounts is refused",
        "roots:without_a_mount_namespace roots:what_needs_a_mount_namespace",
        "runc passes over root.readonly"),
    Row("`--no-pivot`", "the host's kernel filesystems are covered first",
        "roots:no_pivot roots:no_pivot_leaves_the_host_alone"),
)

MOUNTS = (
    Row("mounts[].destination", "in the root, whatever links the image has; made if missing, 0755",
        "spec_mount_options:a_destination_is_made_inside bundles:same[odd_destinations] "
        "hostile_image:mount_points_behind_links_stay_inside",
        "runc makes files with mode 0755 (1.1)"),
    Row("a relative destination", "relative to /, with a warning",
        "spec_check:what_is_odd_but_allowed_is_a_warning bundles:same[relative_destination]"),
    Row("the destination /", "refused, unless it is a remount",
        "spec_check:every_broken_rule_is_named_where_it_is_broken mounts:the_root_remounted",
        "crun puts it in the root's place"),
    Row("mounts[].source", "a bind mount's is relative to the bundle, and has to exist",
        "spec_mount_options:a_relative_source_is_the_bundles bad_input:mount_source_that_does_not_exist "
        "spec_mount_options:a_source_names_the_mount"),
    Row("mounts[].type", "required but for bind mounts, which ignore it",
        "spec_mount_options:a_type_that_is_missing spec_mount_options:a_type_is_ignored_where_a_bind_is_asked_for "
        "bundles:same[bind_by_type_alone]", "runc passes an empty type on"),
    Row("mounts[].options", "by the tables below; other words are the filesystem's, and on a bind mount a warning, or refused where they are nearly one of its own",
        "spec_mount_options:what_no_table_knows_is_the_filesystems "
        "bundles:same[option_that_the_file_system_refuses]",
        "crun has default options where there are none"),
    Row("mounts[].uidMappings", "map the mount, both or neither", "mounts:a_mount_with_maps_of_its_own "
        "spec_check:every_broken_rule_is_named_where_it_is_broken spec_check:mount_mappings_obey_the_rules_of_maps"),
    Row("mounts[].gidMappings", "as uidMappings", "mounts:a_mount_with_maps_of_its_own "
        "spec_check:every_broken_rule_is_named_where_it_is_broken spec_check:mount_mappings_obey_the_rules_of_maps"),
    Row("/proc and /sys", "their mount points have to be directories, no links",
        "bad_input:proc_and_sys_that_are_links escapes:proc_and_sys_of_every_odd_shape"),
    Row("mounts below /proc", "none but those of lxcfs's list", "hostile_image:nothing_is_mounted_into_proc "
        "escapes:what_lxcfs_covers_may_be_covered"),
    Row("a tmpfs", "takes the mode of what it covers", "spec_mount_options:a_tmpfs_takes_the_mode_that_it_covers"),
    Row("a bind mount of a file", "on a file, which is made", "spec_mount_options:a_file_is_bound_over_a_file_that_is_made "
        "bundles:same[bind_of_a_file]"),
    Row("a cgroup mount", "v2: the container's own; v1: a tmpfs with one mount a hierarchy",
        "bundles:same[default] bundles:same[cgroup_namespace] bundles:same[v2_default] "
        "bundles:same[v2_without_a_cgroup_namespace] bundles:same[cgroup_mount_rw] "
        "plan_golden:the_plan_is_the_one_that_was_reviewed",
        "runc mounts anew without a cgroup namespace, and takes the host's options"),
    Row("mqueue, devpts, named options of proc", "as the filesystem has them",
        "bundles:same[mqueue_and_named_proc_options] bundles:same[mount_options_of_proc_and_sys]"),
    Row("a source that only the host's root may enter", "opened before the user namespace is entered",
        "bundles:same[user_namespace_with_bind_mounts]"),
)

_FLAG = ("spec_mount_options:a_flag_of_a_new_filesystem "
         "spec_mount_options:a_flag_of_a_bind_mount_is_the_upper_mounts_own")
_UNDO = ("spec_mount_options:a_later_option_undoes_an_earlier_one "
         "spec_mount_options:a_bind_mount_loses_a_flag_of_its_source")
_TIMES = "spec_mount_options:access_times_are_one_choice"
_SUPER = "spec_mount_options:a_flag_of_the_filesystem_itself"
_EVERY = (*names.MOUNT_FLAG_OPTIONS, *names.MOUNT_RECURSIVE_OPTIONS)
_TEXT = {
    "defaults": ("asks for nothing", "spec_mount_options:words_that_ask_for_nothing",
                 "runc passes the word to the filesystem, which refuses it"),
    "bind": ("one mount of what is there", "spec_mount_options:bind_takes_one_mount_and_rbind_all_below", ""),
    "rbind": ("and all below it", "spec_mount_options:bind_takes_one_mount_and_rbind_all_below", ""),
    "remount": ("the flags of a mount that is there, the root's among them; nothing but flags",
                "mounts:a_mount_remounted mounts:the_root_remounted mounts:a_remount_of_nothing", ""),
    "silent": ("asks for nothing that we do", "spec_mount_options:words_that_ask_for_nothing",
               "crun takes it for the filesystem's"),
    "loud": ("asks for nothing that we do", "spec_mount_options:words_that_ask_for_nothing",
             "crun takes it for the filesystem's"),
    "iversion": ("asks for nothing: kernels keep counters by themselves", "spec_mount_options:change_counters",
                 "crun does not know it"),
    "noiversion": ("asks for nothing: kernels keep counters by themselves", "spec_mount_options:change_counters",
                   "crun does not know it"),
    "lazytime": ("the filesystem's own flag", _SUPER, "crun does not know it"),
    "nolazytime": ("clears lazytime", _SUPER, "crun does not know it"),
    "strictatime": ("access times always", _TIMES, ""),
    "nostrictatime": ("the kernel's default, relatime", _TIMES, ""),
    "relatime": ("access times when older than changes", _TIMES, ""),
    "norelatime": ("the kernel's default, relatime", _TIMES, ""),
}


def _option(word: str) -> Row:
    if word in _TEXT:
        does, tests, peers = _TEXT[word]
    elif word in ("sync", "async", "dirsync", "mand", "nomand"):
        does, tests, peers = "the filesystem's own flag", _SUPER, ""
    elif word in ("ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow"):
        does, tests, peers = "the mount's flag, of the upper mount alone", _FLAG, ""
    else:
        does, tests, peers = "clears the flag, also of a bind mount's source", _UNDO, ""
    if word.endswith("symfollow"):
        peers = "crun does not know it"
    return Row(f"mount option `{word}`", does, tests, peers, (word,))


def _recursive(word: str) -> Row:
    peers = "crun does not know it" if word.endswith("symfollow") else "runc: bind mounts only"
    return Row(f"mount option `{word}`", "for the mount and all below it",
               "spec_mount_options:a_recursive_option_reaches_the_mount_below", peers, (word,))


OPTIONS = (
    *map(_option, names.MOUNT_FLAG_OPTIONS),
    *map(_recursive, names.MOUNT_RECURSIVE_OPTIONS),
    *(
        Row(f"mount option `{word}`", "of this mount" + (" and all below" if word[0] == "r" else ""),
            "spec_mount_options:propagation bundles:same[propagation_options_on_a_shared_host]", "",
            (word,))
        for word in ("private", "slave", "shared", "unbindable", "rprivate", "rslave", "rshared",
                     "runbindable")
    ),
    Row("propagation by default", "a bind mount is the container's own, or the host's slave",
        "bundles:same[propagation_by_default_on_a_shared_host]", "crun: private"),
    Row("the last of several options", "wins", "bundles:same[the_last_option_wins] "
        "spec_mount_options:a_later_option_undoes_an_earlier_one"),
    Row("mount option `tmpcopyup`", "a tmpfs gets a copy of what it covers",
        "mounts:copied_up mounts:copied_up_from_nothing mounts:only_a_tmpfs_is_copied_up_into "
        "bundles:same[tmpfs_copied_up]", "", ("tmpcopyup",)),
    Row("mount option `idmap`", "the mount by its own maps, or by the container's; refused without",
        "mounts:a_mount_with_maps_of_its_own mounts:in_a_user_namespace mounts:how_deep_a_map_goes "
        "mounts:maps_from_nowhere mounts:in_a_joined_user_namespace", "", ("idmap",)),
    Row("mount option `ridmap`", "and all below it", "mounts:how_deep_a_map_goes", "", ("ridmap",)),
    Row("options that a bind mount cannot use", "passed over: to a bind mount they mean nothing",
        "spec_mount_options:options_of_a_filesystem_mean_nothing_to_a_bind_mount", "runc since 1.2 refuses them"),
)

CHAPTERS = (
    Chapter("The document", "", DOCUMENT),
    Chapter("root", "", ROOT),
    Chapter("mounts[]", "", MOUNTS),
    Chapter("Mount options", "", OPTIONS),
)
