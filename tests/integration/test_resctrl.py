# SPDX-License-Identifier: Apache-2.0
"""linux.intelRdt against an imitated tree: no machine here has the hardware."""

from __future__ import annotations

import os

import pytest

import pyrunc
from pyrunc.errors import PyruncError, SpecError
from pyrunc.lifecycle import resctrl


@pytest.fixture
def tree(tmp_path, monkeypatch):
    top = tmp_path / "resctrl"
    for name in ("info/L3", "info/MB", "mon_groups"):
        (top / name).mkdir(parents=True)
    (top / "info" / "last_cmd_status").write_text("ok\n")
    files(top)
    monkeypatch.setattr(resctrl, "find", lambda: str(top))
    real = os.mkdir

    def made(path, *rest, **options):
        """The kernel puts files into each new group."""
        real(path, *rest, **options)
        if str(path).startswith(str(top)):
            files(top / path)
            if (top / path).parent.name != "mon_groups":
                real(top / path / "mon_groups")

    def removed(path, *rest, **options):
        """And takes them along."""
        group = top / path
        if str(path).startswith(str(top)) and group.is_dir() and group.name != "mon_groups":
            empty(top / path)
        remove(path, *rest, **options)

    remove = os.rmdir
    monkeypatch.setattr(resctrl.os, "mkdir", made)
    monkeypatch.setattr(resctrl.os, "rmdir", removed)
    return top


def files(group) -> None:
    (group / "tasks").write_text("")
    (group / "schemata").write_text("    L3:0=fff;1=fff\n    MB:0=100\n")


def empty(group) -> None:
    """As the kernel does by itself, so that rmdir(2) works here too."""
    for name in ("tasks", "schemata"):
        (group / name).unlink(missing_ok=True)
    if (group / "mon_groups").is_dir():
        (group / "mon_groups").rmdir()


def container(bundle, runtime, rdt):
    bundle.config["linux"]["intelRdt"] = rdt
    bundle.args("/bin/sleep", "1000")
    null = os.open(os.devnull, os.O_RDWR)
    try:
        return pyrunc.Container.create(
            str(bundle.path), runtime.new_id(), root=str(runtime.root), stdio=(null,) * 3
        )
    finally:
        os.close(null)


def test_a_group_of_its_own(runtime, bundle, tree):
    made = container(bundle, runtime, {"l3CacheSchema": "L3:0=f", "schemata": ["MB:0=50"]})
    group = tree / made.id
    assert (group / "schemata").read_text().startswith("L3:0=f\nMB:0=50\n")
    assert (group / "tasks").read_text() == str(made.state["pid"])
    state = (runtime.root / made.id / "state.json").read_text()
    assert '"made": true' in state.replace('":true', '": true')
    empty(group)
    # Another process deletes: what it knows it has from the state.
    runtime("delete", "--force", made.id)
    assert not group.exists()
    made.wait()


def test_a_group_of_somebody_else_stays(runtime, bundle, tree):
    (tree / "shared").mkdir()
    files(tree / "shared")
    made = container(bundle, runtime, {"closID": "shared", "l3CacheSchema": "L3:1=0FFF"})
    assert (tree / "shared" / "tasks").read_text() == str(made.state["pid"])
    made.delete(force=True)
    assert (tree / "shared").exists()


def test_a_shared_group_that_was_made_stays(runtime, bundle, tree):
    """Who names a closID means it for others too."""
    made = container(bundle, runtime, {"closID": "named", "l3CacheSchema": "L3:0=f"})
    made.delete(force=True)
    assert (tree / "named" / "tasks").exists()


@pytest.mark.parametrize("closid", [None, "named"])
def test_a_creation_that_fails_takes_back_what_it_made(runtime, bundle, tree, closid):
    rdt = {"l3CacheSchema": "L3:0=f", "enableMonitoring": True}
    rdt |= {"closID": closid} if closid else {}
    bundle.config["process"]["cwd"] = "/bin/busybox/x"
    with pytest.raises(PyruncError, match="busybox"):
        container(bundle, runtime, rdt)
    assert not (tree / (closid or runtime.ids[-1])).exists()
    assert not os.listdir(runtime.root)


def test_a_group_that_somebody_makes_meanwhile_stays(runtime, bundle, tree, monkeypatch):
    real = resctrl.plan

    def planned(wanted, container_id, top):
        found = real(wanted, container_id, top)
        (tree / container_id).mkdir()
        return found

    monkeypatch.setattr(resctrl, "plan", planned)
    with pytest.raises(PyruncError, match="file exists"):
        container(bundle, runtime, {})
    assert (tree / runtime.ids[-1]).exists()


def test_a_group_of_somebody_else_with_another_schema(runtime, bundle, tree):
    (tree / "shared").mkdir()
    files(tree / "shared")
    with pytest.raises(SpecError, match="another schema"):
        container(bundle, runtime, {"closID": "shared", "l3CacheSchema": "L3:1=1"})
    assert (tree / "shared").exists()
    assert not runtime.root.exists() or not os.listdir(runtime.root)


def test_monitoring(runtime, bundle, tree):
    made = container(bundle, runtime, {"closID": "/", "enableMonitoring": True})
    group = tree / "mon_groups" / made.id
    assert (group / "tasks").read_text() == str(made.state["pid"])
    empty(group)
    made.delete(force=True)
    assert not group.exists()
    assert (tree / "schemata").exists()


def test_the_kernels_own_reason(runtime, bundle, tree):
    (tree / "info" / "last_cmd_status").write_text("Mask out of range\n")
    (tree / "tasks").unlink()
    with pytest.raises(PyruncError) as caught:
        container(bundle, runtime, {"closID": "/"})
    assert caught.value.hint == "Mask out of range"
    assert caught.value.pointer == "/linux/intelRdt"


@pytest.mark.parametrize(
    ("rdt", "reason"),
    [
        ({"closID": "absent"}, "there is no group"),
        ({"memBwSchema": "MB:0=5"}, "cannot allocate MB"),
    ],
)
def test_refused(runtime, bundle, tree, rdt, reason):
    (tree / "info" / "MB").rmdir()
    with pytest.raises(PyruncError, match=reason):
        container(bundle, runtime, rdt)
    assert not runtime.root.exists() or not os.listdir(runtime.root)


def test_a_host_without(runtime, bundle):
    if os.path.exists("/sys/fs/resctrl/schemata"):
        pytest.skip("this host has resctrl")
    bundle.config["linux"]["intelRdt"] = {}
    done = runtime.run(bundle.write())
    assert done.returncode == 1
    assert "resctrl is not mounted [/linux/intelRdt]" in done.stderr


def test_schemata_are_compared_by_value():
    assert resctrl._holds("    L3:0=00ff;1=0f\n", "L3:1=F")
    assert not resctrl._holds("L3:0=ff\n", "L3:1=f")
    assert not resctrl._holds("L3:0=ff\n", "MB:0=ff")


def test_an_update_changes_the_schema(runtime, bundle, tree):
    made = container(bundle, runtime, {"l3CacheSchema": "L3:0=f"})
    group = tree / made.id
    made.update({}, rdt={"l3CacheSchema": "L3:0=3"})
    assert (group / "schemata").read_text().startswith("L3:0=3\n")
    made.update({"pids": {"limit": 9}}, rdt={"memBwSchema": "MB:0=20"})
    assert (group / "schemata").read_text().startswith("MB:0=20\n")
    empty(group)
    made.delete(force=True)
    assert not group.exists()


def test_an_update_makes_a_group_of_its_own(runtime, bundle, tree):
    """With all processes in it; another process deletes it."""
    bundle.config["linux"].pop("intelRdt", None)
    made = container(bundle, runtime, None)
    made.update({}, rdt={"l3CacheSchema": "L3:0=3"})
    group = tree / made.id
    assert (group / "schemata").read_text().startswith("L3:0=3\n")
    assert (group / "tasks").read_text() == str(made.pid)
    empty(group)
    runtime("delete", "--force", made.id)
    assert not group.exists()
    made.wait()


@pytest.mark.parametrize("rdt", [{"l3CacheSchema": "L3:0=f"}, None])
def test_an_update_that_fails_changes_nothing(runtime, bundle, tree, monkeypatch, rdt):
    made = container(bundle, runtime, rdt)
    saved = (runtime.root / made.id / "state.json").read_text()
    group = tree / made.id
    before = (group / "schemata").read_text() if rdt else None
    limit = pids_limit(made)
    name = "set_schema" if rdt else "join"
    real = getattr(resctrl.Group, name)
    left = [1]

    def refused(self, *arguments):
        if left and left.pop():
            raise PyruncError("refused")
        return real(self, *arguments)

    monkeypatch.setattr(resctrl.Group, name, refused)
    with pytest.raises(PyruncError, match="refused"):
        made.update({"pids": {"limit": 9}}, rdt={"l3CacheSchema": "L3:0=3"})
    assert (runtime.root / made.id / "state.json").read_text() == saved
    assert group.exists() == bool(rdt)
    assert pids_limit(made) == limit
    if rdt:
        # The lines as they were; the imitated file keeps what is behind them.
        lines = [line.strip() for line in before.splitlines()]
        now = [line.strip() for line in (group / "schemata").read_text().splitlines()]
        assert now[: len(lines)] == lines
        empty(group)
    made.delete(force=True)


def pids_limit(made):
    return made.stats().pids.limit
