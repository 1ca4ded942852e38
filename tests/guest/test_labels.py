# SPDX-License-Identifier: Apache-2.0
"""AppArmor profiles, on a kernel that has it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

NAME = "pyrunc-test"
PROFILE = f"""
profile {NAME} flags=(attach_disconnected,mediate_deleted) {{
  file,
  capability,
  deny /dev/secret r,
}}
"""
ENABLED = Path("/sys/module/apparmor/parameters/enabled")
pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(
        not shutil.which("apparmor_parser") or not ENABLED.exists(), reason="needs AppArmor"
    ),
]


@pytest.fixture
def profile(tmp_path):
    path = tmp_path / "profile"
    path.write_text(PROFILE)
    subprocess.run(["apparmor_parser", "--replace", str(path)], check=True)
    yield NAME
    subprocess.run(["apparmor_parser", "--remove", str(path)], check=True)


@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_program_runs_under_the_profile(runtime, bundle, profile, user, masked):
    """Also where the image's own /proc cannot be written to, and in a user namespace."""
    linux = bundle.config["linux"]
    bundle.config["process"]["apparmorProfile"] = profile
    if user:
        linux["namespaces"].append({"type": "user"})
        maps = [{"containerID": 0, "hostID": 0, "size": 65536}]
        linux["uidMappings"] = linux["gidMappings"] = maps
    if masked:
        linux["readonlyPaths"] = [*linux.get("readonlyPaths", ()), "/proc/self", "/proc/1"]
    bundle.shell("cat /proc/self/attr/current; echo x > /dev/secret; cat /dev/secret")
    done = runtime.run(bundle)
    assert done.stdout == f"{profile} (enforce)\n", done.stderr
    assert "Permission denied" in done.stderr


def test_a_profile_that_is_not_loaded(runtime, bundle):
    bundle.config["process"]["apparmorProfile"] = "pyrunc-nosuch"
    done = runtime.run(bundle.write())
    assert done.returncode == 1
    assert "[/process/apparmorProfile]" in done.stderr
    assert done.stderr.count("\n") == 1
