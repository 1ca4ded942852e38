# SPDX-License-Identifier: Apache-2.0
"""spec.unsupported: every row of the table refuses, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
from test_spec_load import at, config, dumped

from pyrunc.errors import SpecError, UnsupportedError
from pyrunc.observe.features import features
from pyrunc.spec import load, unsupported
from pyrunc.spec.model import Mount, Spec

MAP = [{"containerID": 0, "hostID": 1, "size": 1}]
LISTEN = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/s"}
NOTIFY = {"names": ["read"], "action": "SCMP_ACT_NOTIFY"}

ASKED: list[tuple[str, Any, str, str]] = [
    ("/linux/seccomp", LISTEN, "/listenerPath", "a seccomp listener"),
]


@pytest.mark.parametrize(
    ("changed", "value", "below", "what"), ASKED, ids=[row[0] + row[3] for row in ASKED]
)
def test_what_is_missing_is_refused_by_name(
    changed: str, value: object, below: str, what: str
) -> None:
    raw = at(config(), changed, value)
    if changed == "/linux/timeOffsets":
        raw["linux"]["namespaces"].append({"type": "time"})
    spec = load.parse(dumped(raw))
    with pytest.raises(UnsupportedError) as caught:
        unsupported.refuse_unsupported(spec)
    assert caught.value.pointer == changed + below
    assert caught.value.message == f"{what} is not supported by this version of pyrunc yet"
    assert isinstance(caught.value, SpecError)


def test_every_row_of_the_table_has_a_case_here() -> None:
    assert {row[0] for row in unsupported.TABLE} <= {row[0] + row[2] for row in ASKED}


def test_a_notify_rule_is_refused_where_it_stands() -> None:
    # check refuses it without listenerPath, which has a row of its own: decode only.
    raw = at(config(), "/linux/seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [NOTIFY]})
    with pytest.raises(UnsupportedError, match="SCMP_ACT_NOTIFY is not supported") as caught:
        unsupported.refuse_unsupported(load.decode(raw))
    assert caught.value.pointer == "/linux/seccomp/syscalls/0/action"


ACCEPTED = [
    ("/process/apparmorProfile", ""),
    ("/process/selinuxLabel", ""),
    ("/linux/mountLabel", ""),
    ("/linux/personality", {"domain": "LINUX"}),
    ("/linux/timeOffsets", {}),
    ("/linux/netDevices", {}),
    ("/process/execCPUAffinity", {"initial": "0", "final": "0-3"}),
    ("/linux/seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": ""}),
    ("/linux", None),
]


@pytest.mark.parametrize(("changed", "value"), ACCEPTED)
def test_empty_and_supported_values_pass(changed: str, value: object) -> None:
    unsupported.refuse_unsupported(load.decode(at(config(), changed, value)))


def test_every_mount_option_that_features_lists_passes() -> None:
    options = tuple(features(None)["mountOptions"])
    unsupported.refuse_unsupported(Spec(mounts=(Mount(destination="/x", options=options),)))
