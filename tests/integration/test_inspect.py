# SPDX-License-Identifier: Apache-2.0
"""`pyrunc inspect`: what the kernel has in force, not what was asked for."""

from __future__ import annotations

import json
import os

import pytest

import pyrunc
from pyrunc.errors import ContainerNotFound


@pytest.fixture
def web(runtime, bundle):
    """A container with something of everything."""
    config = bundle.config
    config["process"]["args"] = ["sleep", "1000"]
    config["process"]["user"] = {"uid": 7, "gid": 8, "additionalGids": [9]}
    config["process"]["capabilities"] = {
        name: ["CAP_KILL"]
        for name in ("bounding", "permitted", "effective", "inheritable", "ambient")
    }
    config["process"]["noNewPrivileges"] = True
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}],
    }
    config["mounts"].append(
        {"destination": "/with blank", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "size=64k"]}
    )  # fmt: skip
    config["hooks"] = {"poststop": [{"path": "/bin/true"}]}
    namespaces = config["linux"]["namespaces"]
    config["linux"]["namespaces"] = [one for one in namespaces if one["type"] != "network"]
    name = runtime.create(bundle.write())
    runtime("start", name)
    return name


def inspected(runtime, name):
    return json.loads(runtime("inspect", "--json", name).stdout)


def test_what_is_in_force(runtime, web):
    found = inspected(runtime, web)
    state = json.loads(runtime("state", web).stdout)
    assert found["state"]["pid"] == state["pid"]
    process = found["process"]
    assert (process["uids"]["effective"], process["gids"]["real"], process["groups"]) == (7, 8, [9])
    assert set(map(tuple, process["capabilities"].values())) == {("CAP_KILL",)}
    assert process["noNewPrivileges"] is True
    assert process["seccomp"]["mode"] == "filter"
    (mount,) = [one for one in found["mounts"] if one["destination"] == "/with blank"]
    assert (mount["type"], "nosuid" in mount["options"]) == ("tmpfs", True)
    assert "size=64k" in mount["filesystemOptions"]
    assert found["mounts"][0]["destination"] == "/"
    assert found["processes"] == [state["pid"]]
    assert found["stats"]["pids"]["current"] == 1
    assert found["config"]["hooks"] == {"poststop": [{"path": "/bin/true"}]}
    assert pyrunc.Container.load(web, root=str(runtime.root)).inspect()["mounts"] == found["mounts"]


def test_with_whom_namespaces_are_shared(runtime, bundle, web):
    pid = inspected(runtime, web)["state"]["pid"]
    for one in bundle.config["linux"]["namespaces"]:
        if one["type"] == "pid":
            one["path"] = f"/proc/{pid}/ns/pid"
    other = runtime.create(bundle.write())
    runtime("start", other)
    shared = {one["type"]: one["sharedWith"] for one in inspected(runtime, other)["namespaces"]}
    assert shared["pid"] == [web]
    assert shared["network"] == ["host", web]
    assert shared["mount"] == []
    inode = os.stat(f"/proc/{pid}/ns/pid").st_ino
    assert inode in [one["inode"] for one in inspected(runtime, other)["namespaces"]]
    runtime("kill", other, "KILL")


def test_for_people(runtime, web):
    rows = [row.split(None, 1) for row in runtime("inspect", web).stdout.splitlines()]
    found = {row[0]: row[1:] for row in rows}
    assert {"id", "status", "mount", "namespace", "effective", "cgroup", "hook"} <= set(found)
    assert found["effective"] == ["CAP_KILL"]
    assert any(row[0] == "mount" and row[1].startswith("/with blank tmpfs") for row in rows)


def test_a_container_that_has_stopped(runtime, web):
    runtime("kill", web, "KILL")
    pid = json.loads(runtime("state", web).stdout)["pid"]
    while os.path.exists(f"/proc/{pid}") and pid:
        pid = json.loads(runtime("state", web).stdout)["pid"]
    found = inspected(runtime, web)
    assert set(found) == {"state", "config"}
    assert found["state"]["status"] == "stopped"
    assert "mount" not in runtime("inspect", web).stdout


def test_a_container_that_is_not_there(runtime):
    done = runtime("inspect", "nosuch", check=False)
    assert done.returncode == 1
    assert "container does not exist" in done.stderr
    with pytest.raises(ContainerNotFound):
        pyrunc.Container.load("nosuch", root=str(runtime.root))


def test_a_process_with_more_rights_than_the_caller(runtime, web):
    """Of another user, for a caller without CAP_SYS_PTRACE: what it may not see is left out."""
    runtime.prefix = ("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace")
    found = inspected(runtime, web)
    runtime.prefix = ()
    assert found["namespaces"] == []
    assert found["process"]["capabilities"]["effective"] == ["CAP_KILL"]
    assert found["mounts"]
