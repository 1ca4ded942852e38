# SPDX-License-Identifier: Apache-2.0
"""spec.template against the installed runc, and against our own rules."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pyrunc import jsontext
from pyrunc.spec import load, template

RUNC = shutil.which("runc")


@pytest.mark.skipif(RUNC is None, reason="runc is not installed: nothing to compare with")
@pytest.mark.parametrize("rootless", [False, True])
def test_the_template_is_what_runc_writes(tmp_path: Path, rootless: bool) -> None:
    assert RUNC is not None
    command = [RUNC, "spec", *(["--rootless"] if rootless else [])]
    subprocess.run(command, cwd=tmp_path, check=True)
    data = (tmp_path / "config.json").read_bytes()
    theirs: dict[str, Any] = jsontext.loads(data)
    # runc lists the cgroup namespace where the host has cgroup v2 only.
    v2 = {"type": "cgroup"} in theirs["linux"]["namespaces"]
    ours = template.default_spec(rootless, os.geteuid(), os.getegid(), v2)
    # The two deliberate differences; see the module's docstring.
    assert ours["ociVersion"] == "1.3.0"
    assert "ambient" not in ours["process"]["capabilities"]
    ours["ociVersion"] = theirs["ociVersion"]
    theirs["process"]["capabilities"].pop("ambient", None)
    # Text, so that the order of the members counts too.
    assert jsontext.dumps_indented(ours, "\t") == jsontext.dumps_indented(theirs, "\t")


@pytest.mark.parametrize("v2", [False, True])
@pytest.mark.parametrize("rootless", [False, True])
def test_the_template_is_valid_and_supported(rootless: bool, v2: bool) -> None:
    raw = template.default_spec(rootless, 1000, 1001, v2)
    spec = load.parse(jsontext.dumps(raw).encode())
    assert spec.warnings == []
    assert spec.linux is not None
    types = {namespace.type for namespace in spec.linux.namespaces}
    assert ("cgroup" in types) is v2
    assert ("user" in types) is rootless
    assert ("network" in types) is not rootless
    assert (spec.linux.resources is None) is rootless
    if rootless:
        assert spec.linux.uidMappings[0].hostID == 1000
        assert spec.linux.gidMappings[0].hostID == 1001
        assert not [o for m in spec.mounts for o in m.options if o.startswith(("uid=", "gid="))]


def test_two_templates_share_nothing() -> None:
    first = template.default_spec(False, 0, 0, True)
    first["process"]["capabilities"]["bounding"].append("x")
    first["mounts"][1]["options"].clear()
    second = template.default_spec(False, 0, 0, True)
    assert "x" not in second["process"]["capabilities"]["bounding"]
    assert second["mounts"][1]["options"]
