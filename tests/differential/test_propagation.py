# SPDX-License-Identifier: Apache-2.0
"""rootfsPropagation and the options of bind mounts: what is mounted on either side is seen on the
other exactly where it is with runc, and the host's own mounts stay what they were."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.differential import propagation
from tests.lib import support

# All of them where machines are fast.
ROOTS = propagation.PROPAGATIONS if support.EVERY == 1 else ("", "rshared")
# Without a mount of the host that nothing may be cloned from, runc cannot begin at all.
REFUSED = "runbindable"


@pytest.fixture(scope="module")
def newer(peer) -> bool:
    """runc 1.1.15 makes the mount below the root filesystem private, whatever it was."""
    version = subprocess.run(["runc", "--version"], check=True, capture_output=True, text=True)
    return "1.1.5" not in version.stdout


def observed(
    program: str, tmp_path: Path, template: dict[str, Any], host: str, mapped: bool
) -> dict[str, dict[str, Any]]:
    """What a runtime does with each rootfsPropagation."""
    name = Path(program).name
    top = tmp_path / name
    top.mkdir()
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    cases = [
        {
            "id": f"pyrunc-test-{name}-{tmp_path.parent.name}-{number}",
            "host": host,
            "root": wanted,
            "mapped": mapped,
            "slow": support.SLOW,
        }
        for number, wanted in enumerate(ROOTS)
    ]
    request = {
        "top": str(top),
        "command": [program, "--root", str(tmp_path / f"{name}-state")],
        "template": template,
        "busybox": shutil.which("busybox"),
        "cases": cases,
    }
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", sys.executable, propagation.__file__],
        input=json.dumps(request), capture_output=True, text=True, check=False,
        timeout=120 * support.SLOW,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(zip(ROOTS, json.loads(done.stdout), strict=True))


def without_the_mount_below(seen: dict[str, list[str]]) -> dict[str, list[str]]:
    return {
        place: [what for what in found if what not in ("out", "root-out", "sub/out")]
        if place == "/" or place.startswith("root-")
        else found
        for place, found in seen.items()
    }


@pytest.mark.parametrize("mapped", [False, True], ids=["", "user_namespace"])
@pytest.mark.parametrize("host", ["shared", "private"] if support.EVERY == 1 else ["shared"])
def test_mounts_travel_as_with_runc(newer, template, tmp_path, host, mapped):
    peers = observed("runc", tmp_path, template, host, mapped)
    ours = observed(support.PYRUNC, tmp_path, template, host, mapped)
    for wanted in ROOTS:
        assert "refused" not in ours[wanted], (wanted, ours[wanted])
        # On the host nothing has come or gone but what the container mounted itself.
        assert (ours[wanted]["created"], ours[wanted]["left"]) == ([], []), wanted
        if wanted == REFUSED:
            assert "invalid argument" in peers[wanted]["refused"]
            continue
        assert "refused" not in peers[wanted], (wanted, peers[wanted])
        expected, found = peers[wanted]["seen"], ours[wanted]["seen"]
        if newer:
            expected, found = map(without_the_mount_below, (expected, found))
        if wanted == "unbindable":
            # runc 1.1 forgets the root's own; what is unbindable follows nobody.
            assert "unbindable" in ours[wanted]["tags"]["/"] or newer
            expected["/"] = found["/"]
        different = {
            place: (sorted(expected[place]), sorted(found[place]))
            for place in expected
            if sorted(expected[place]) != sorted(found[place])
        }
        assert not different, wanted
    # What engines rely on: bind-propagation, mountPropagation Bidirectional.
    if host == "shared" and not mapped:
        for wanted in {"shared", "rshared", "slave", "private"} & set(ROOTS):
            for option in ("none", "shared", "rshared"):
                assert "in" in ours[wanted]["seen"][f"own-bind-{option}"]
        if "private" in ROOTS:
            assert "out" in ours["private"]["seen"]["own-bind-slave"]
        assert "in" not in ours[""]["seen"]["own-rbind-rshared"]
