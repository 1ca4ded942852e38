# SPDX-License-Identifier: Apache-2.0
"""Where pyrunc's loader and the JSON schemas judge a document differently, and why.

test_spec_corpus.py holds this table both ways: what differs has a row, each row shows.
"""

# A table: its rows are not wrapped.
# ruff: noqa: E501
# fmt: off

from __future__ import annotations

from typing import NamedTuple

OWN, OFFICIAL = "config.schema.json", "the specification's schemas"
PYRUNC, SCHEMA = "pyrunc", "the schema"


class Difference(NamedTuple):
    """Attributes:
        judges: which schemas.
        refuses: who of the two has something against the document.
        pointer: a pattern for the changed member.
        message: a pattern for what is said against it.
        reason: why that is right.
    """

    judges: tuple[str, ...]
    refuses: str
    pointer: str
    message: str
    reason: str


BOTH = (OWN, OFFICIAL)
NEWER = r"/process/(scheduler|ioPriority|execCPUAffinity)|/linux/(netDevices|memoryPolicy|intelRdt/(schemata|enableMonitoring))"
TYPE = r"must be (a |an |true|an? )|is required and must be"

DIFFERENCES = (
    # A schema looks at one member at a time.
    Difference(BOTH, PYRUNC, r"^/mounts/0/[ug]idMappings", "both, or neither|overlaps the range", "a rule about two members"),
    Difference(BOTH, PYRUNC, r"^/linux/[ug]idMappings", "a new user namespace needs|overlaps the range", "a rule about two members"),
    Difference(BOTH, PYRUNC, r"^/process/rlimits", "is set twice|above the hard limit", "a rule about two members"),
    Difference(BOTH, PYRUNC, r"^/linux(/namespaces.*)?$", "there is no uts namespace|listed twice|would change the host", "a rule about namespaces and what needs them"),
    Difference((OWN,), PYRUNC, r"^/linux/seccomp/defaultAction$", "must not be empty when there are rules", "without rules it may be absent, as runc has it"),
    Difference(BOTH, PYRUNC, r"^/linux/seccomp/listenerPath$", "must not be set without listenerPath", "a rule about two members"),
    Difference(BOTH, PYRUNC, r"^/linux/memoryPolicy/nodes$", "needs at least one node", "a rule about two members"),
    # null.
    Difference((OWN,), PYRUNC, r"^/(annotations|linux/(timeOffsets|sysctl|netDevices|resources/(rdma|unified)))/[^/]*$", "not null", "the value of a free key is not a member that may be absent; the schema's reader drops it"),
    Difference((OFFICIAL,), SCHEMA, "", "None", "a null member is an absent one: Go writes such"),
    # What config.schema.json leaves to the loader.
    Difference((OWN,), PYRUNC, r"^/hooks/\w+/0/timeout$", "must be an integer from", "64 bits, which the schema does not say"),
    Difference(BOTH, PYRUNC, r"^/linux/seccomp/(defaultErrnoRet|syscalls/0/errnoRet)$", "must be at most 65535", "the kernel's 16 bits"),
    Difference((OFFICIAL,), PYRUNC, r"[ug]idMappings/0/size$", "must be at least 1", "an empty range maps nothing"),
    Difference(BOTH, PYRUNC, r"/(major|minor)$", "is not a valid device number", "the kernel's 32 bits without a sign"),
    Difference((OWN,), PYRUNC, r"^/linux/timeOffsets/\w+/nanosecs$", "must be less than", "less than a second"),
    Difference(BOTH, PYRUNC, r"^/linux/netDevices/eth0/name$", "is not a valid name of a network device", "the kernel's rule for names"),
    Difference(BOTH, PYRUNC, r"^/linux/resources/network/priorities/0/name$", "is not the name of an interface", "the first word of a line"),
    Difference(BOTH, PYRUNC, r"^/linux/intelRdt/", "is not the name of one directory|must be one line", "one directory, one line"),
    Difference((OWN,), PYRUNC, r"^/linux/intelRdt/memBwSchema$", 'must start with "MB:"', "the schema does not say so"),
    # The text asks for more than the specification's schemas do.
    # Laxer than the text, as both peers are: with a warning.
    Difference((OWN,), SCHEMA, r"^/process/user/umask$", "greater than the maximum", "umask(2) takes what counts"),
    Difference((OWN,), SCHEMA, r"^/process/ioPriority/priority$", "'priority' is a required", "absent it is 0"),
    Difference(BOTH, SCHEMA, r"^/linux/resources/devices/0/allow$", "'allow' is a required", "absent it is false"),
    Difference((OWN,), SCHEMA, r"^/linux/resources/devices/0/access$", "does not match", "other letters are passed over"),
    Difference(BOTH, SCHEMA, r"^/linux/seccomp/syscalls/0/names", "should be non-empty", "a rule without names does nothing"),
    Difference((OWN,), SCHEMA, r"^/linux/(masked|readonly)Paths/0$", "does not match", "relative to /"),
    Difference((OFFICIAL,), SCHEMA, r"^/linux/resources/pids", "'limit' is a required", "optional since 1.3.0"),
    Difference((OWN,), SCHEMA, r"^/ociVersion$", "does not match", "what was written for a draft is read, with a warning"),
    Difference((OFFICIAL,), PYRUNC, r"^/ociVersion$", "is not a version", "the text wants SemVer"),
    Difference((OFFICIAL,), PYRUNC, r"^/(root|process)$", "property must not be empty", "required to create a container on Linux"),
    Difference((OFFICIAL,), PYRUNC, r"^/process/args", "args must not be empty", "required to start"),
    Difference((OFFICIAL,), PYRUNC, r"^/process/env/0$", 'has no "="', "the text wants environ(7)"),
    Difference((OFFICIAL,), PYRUNC, r"", "must be an absolute path|path of a hook must be absolute|must be absolute", "the text wants absolute paths"),
    Difference((OFFICIAL,), PYRUNC, r"^/(root/path|mounts/0/destination|process/cwd|linux/seccomp/syscalls/0/names/0|linux/resources/network/priorities/0/name)$", "must name the root|must not be empty", "an empty name names nothing"),
    Difference((OFFICIAL,), PYRUNC, r"^/process/(user/umask|oomScoreAdj)$", "from -1000 to 1000|must be an integer from", "the kernel's range"),
    Difference((OFFICIAL,), PYRUNC, r"^/hooks/\w+/0/timeout$", "must be an integer from", "64 bits"),
    Difference((OFFICIAL,), PYRUNC, r"^/linux/devices/0/(major|minor)$", "is required for a device", "the text wants both but for fifos"),
    Difference((OFFICIAL,), PYRUNC, r"^/linux/resources/devices/0/(type|access)$", "unknown device type|must not be empty|none of the letters", "the text names the letters"),
    Difference((OFFICIAL,), PYRUNC, r"^/linux/resources/(memory/(limit|reservation|swap|kernel|kernelTCP)|pids/limit)$", "must not be -", "-1 is no limit, less is nothing"),
    Difference((OFFICIAL,), PYRUNC, r"^/linux/resources/(memory/swappiness|cpu/idle|blockIO/(weight|leafWeight|weightDevice/0/(weight|leafWeight)))$", "must be from|must be 0 or 1|must be an integer", "the text's range"),
    Difference((OFFICIAL,), PYRUNC, r"/rate$", "is required", "the text wants all three"),
    Difference((OFFICIAL,), PYRUNC, r"^/linux/resources/rdma", "needs hcaHandles, hcaObjects or both", "the text wants one of them"),
    Difference((OFFICIAL,), PYRUNC, r"^/linux/seccomp/listenerPath$", "listenerMetadata", "a rule about two members"),
    Difference((OFFICIAL,), PYRUNC, r"^/linux/seccomp/syscalls/0/args/0/index$", "arguments 0 to 5", "system calls have six"),
    Difference((OFFICIAL,), PYRUNC, NEWER, TYPE + "|unknown|must be from|takes no|needs|no name", "newer than these schemas"),
    Difference((OFFICIAL,), PYRUNC, r"^/linux/personality", TYPE + "|unknown execution domain", "the text wants a domain"),
    # Laxer than the specification's schemas, as runc is.
    Difference((OFFICIAL,), SCHEMA, r"^/linux/seccomp$", "'defaultAction' is a required", "an empty object is no filter"),
    Difference((OFFICIAL,), SCHEMA, r"^/linux/rootfsPropagation$", "is not one of", "an empty word is an absent one: Go writes such"),
    Difference((OFFICIAL,), SCHEMA, r"^/linux/intelRdt/memBwSchema$", "does not match", "an empty word is an absent one: Go writes such"),
    Difference((OFFICIAL,), SCHEMA, r"^/linux/devices/0/fileMode$", "greater than the maximum", "bits of the type are dropped, as runc does"),
)
