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


@pytest.mark.parametrize("user", [False, True])
def test_a_process_that_joins_runs_under_the_profile(runtime, bundle, profile, user):
    """Told before the first namespace is entered, and kept by the fork into the container."""
    linux = bundle.config["linux"]
    if user:
        linux["namespaces"].append({"type": "user"})
        maps = [{"containerID": 0, "hostID": 0, "size": 65536}]
        linux["uidMappings"] = linux["gidMappings"] = maps
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    runtime("start", name)
    read = ("/bin/cat", "/proc/self/attr/current")
    done = runtime("exec", "--apparmor", profile, name, *read)
    assert done.stdout == f"{profile} (enforce)\n"
    # Without the option it has none, as the container has none.
    assert profile not in runtime("exec", name, *read).stdout
    done = runtime("exec", "--apparmor", "pyrunc-nosuch", name, *read, check=False)
    assert done.returncode == 255
    assert "[/process/apparmorProfile]" in done.stderr


def test_a_process_that_joins_has_the_containers_profile(runtime, bundle, profile):
    bundle.config["process"]["apparmorProfile"] = profile
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    runtime("start", name)
    done = runtime("exec", name, "/bin/cat", "/proc/self/attr/current")
    assert done.stdout == f"{profile} (enforce)\n"
