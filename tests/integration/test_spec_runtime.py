# SPDX-License-Identifier: Apache-2.0
"""What runtime.md requires of the operations, besides what test_lifecycle.py shows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pyrunc.spec import names
from tests.integration import test_spec_mount_options as options

STATUS = ("creating", "created", "running", "stopped")


def tree(path: Path) -> list[tuple[str, int, int]]:
    found = [path, *path.rglob("*")]
    return sorted((str(one), one.lstat().st_mode, one.lstat().st_ino) for one in found)


def test_the_state_fits_the_schema(runtime, bundle):
    """schema/state-schema.json, in words."""
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    seen = []
    for verb in (("start", name), ("kill", name, "KILL"), ()):
        state = runtime.state(name)
        assert {"ociVersion", "id", "status", "bundle", "pid"} <= set(state)
        assert state["ociVersion"].split(".")[0] == "1"
        assert state["id"] == name
        assert state["status"] in STATUS
        assert os.path.isabs(state["bundle"])
        assert isinstance(state["pid"], int)
        assert (state["pid"] > 0) == (state["status"] != "stopped")
        seen.append(state["status"])
        if verb:
            runtime(*verb)
        if "kill" in verb:
            runtime.until(name, "stopped")
    assert seen == ["created", "running", "stopped"]


def test_nothing_runs_before_start(runtime, bundle):
    bundle.config["root"]["readonly"] = False
    name = runtime.create(bundle.shell("touch /ran; sleep 1000"))
    pid = runtime.state(name)["pid"]
    assert "memfd:" in os.readlink(f"/proc/{pid}/exe")
    assert not (bundle.rootfs / "ran").exists()
    # Its namespaces and its root are those of the program already.
    assert os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    assert os.path.samefile(f"/proc/{pid}/root/bin", bundle.rootfs / "bin")
    runtime("start", name)
    runtime("delete", "--force", name)


def test_a_later_config_does_not_matter(runtime, bundle):
    bundle.config["root"]["readonly"] = False
    bundle.config["annotations"] = {"a": "first"}
    name = runtime.create(bundle.shell("echo first > /said"))
    for text in ('{"ociVersion": "nonsense"', json.dumps({"ociVersion": "9.9.9"})):
        bundle.raw(text)
        assert runtime.state(name)["annotations"] == {"a": "first"}
    runtime("start", name)
    runtime.until(name, "stopped")
    assert (bundle.rootfs / "said").read_text() == "first\n"
    (bundle.path / "config.json").unlink()
    runtime("delete", name)


@pytest.mark.parametrize("wrong", ["document", "limit", "source"])
def test_an_error_changes_nothing(runtime, bundle, wrong):
    """Neither in the bundle nor among the host's mounts, whoever finds the error."""
    if wrong == "document":
        bundle.config["process"]["rlimits"] *= 2
    elif wrong == "limit":
        bundle.config["linux"]["resources"] = {"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}
    else:
        bundle.config["mounts"].insert(
            0, {"destination": "/x", "source": "/nosuch", "options": ["bind"]}
        )
    bundle.write()
    before = tree(bundle.path), Path("/proc/self/mountinfo").read_text()
    done = runtime("create", "-b", str(bundle.path), runtime.new_id(), check=False)
    pointers = {
        "document": "/process/rlimits",
        "limit": "/linux/resources/hugepageLimits/0",
        "source": "/mounts/0",
    }
    assert done.returncode == 1
    assert pointers[wrong] in done.stderr
    assert (tree(bundle.path), Path("/proc/self/mountinfo").read_text()) == before


def test_a_warning_changes_nothing(runtime, bundle):
    bundle.config["mounts"].append({"destination": "rel/ative", "type": "tmpfs"})
    bundle.config["linux"]["personality"] = {"domain": "LINUX", "flags": ["X"]}
    done = runtime.run(bundle.shell("grep -c ' /rel/ative ' /proc/mounts; exit 3"))
    assert (done.returncode, done.stdout) == (3, "1\n")


def test_an_id_can_be_used_again(runtime, bundle):
    name = runtime.create(bundle.args("/bin/sleep", "1000"))
    first = runtime.state(name)["pid"]
    runtime("delete", "--force", name)
    runtime.create(bundle, name)
    assert runtime.state(name)["pid"] != first


def test_what_features_lists_is_what_has_rows(runtime):
    """What is listed must be accepted: each word is in a test that uses it."""
    found = json.loads(runtime("features").stdout)
    used = {*options.WORDS, *options.UNDONE, *options.RECURSIVE, *options.PROPAGATION}
    used |= {"strictatime", "nostrictatime", "relatime", "norelatime", "sync", "async", "dirsync",
             "lazytime", "nolazytime", "mand", "nomand", "silent", "loud", "defaults", "iversion",
             "noiversion", "bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap"}  # fmt: skip
    assert set(found["mountOptions"]) == used
    assert found["hooks"] == list(names.HOOKS)
    assert found["linux"]["namespaces"] == list(names.NAMESPACES)
    assert found["linux"]["capabilities"] == list(names.CAPABILITIES)
    assert found["linux"]["seccomp"]["actions"] == list(names.SECCOMP_ACTIONS)
    assert found["linux"]["seccomp"]["operators"] == list(names.SECCOMP_OPERATORS)
