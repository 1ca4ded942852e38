# SPDX-License-Identifier: Apache-2.0
"""linux.netDevices: devices that move into the container, addresses and all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from pyrunc.errors import PyruncError
from pyrunc.lifecycle import network
from pyrunc.spec.model_linux import NetDevice
from tests.lib.support import in_time

pytestmark = pytest.mark.skipif(not shutil.which("ip"), reason="needs iproute2")


def ip(*words: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def device():
    """One end of a veth pair with two addresses, in the host's namespace until it moves."""
    name = f"pt{os.getpid() % 100000}"
    ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
    ip("addr", "add", "192.0.2.7/24", "broadcast", "192.0.2.255", "dev", name)
    ip("addr", "add", "2001:db8::7/64", "dev", name, "nodad")
    ip("link", "set", name, "up")
    yield name
    ip("link", "del", f"{name}p", check=False)  # the other goes with it


def started(runtime, bundle, devices) -> str:
    bundle.config["linux"]["netDevices"] = devices
    bundle.args("/bin/sleep", "1000")
    name = runtime.create(bundle)
    runtime("start", name)
    return str(runtime.state(name)["pid"])


def inside(pid: str) -> dict:
    done = subprocess.run(
        ["nsenter", "-t", pid, "-n", "ip", "-j", "addr"], capture_output=True, check=True
    )
    return {link["ifname"]: link for link in json.loads(done.stdout)}


@pytest.mark.parametrize("new", ["eth7", None, "lan%d"])
def test_a_device_moves_with_its_addresses(runtime, bundle, device, new):
    pid = started(runtime, bundle, {device: {"name": new} if new else {}})
    links = inside(pid)
    expected = {"eth7": "eth7", None: device, "lan%d": "lan0"}[new]
    assert set(links) == {"lo", expected}
    link = links[expected]
    assert "UP" in link["flags"]
    addresses = {(row["local"], row["prefixlen"]) for row in link["addr_info"]
                 if row["scope"] == "global"}  # fmt: skip
    assert addresses == {("192.0.2.7", 24), ("2001:db8::7", 64)}
    assert {row.get("broadcast") for row in link["addr_info"] if row["family"] == "inet"} == {
        "192.0.2.255"
    }
    assert f" {device}@" not in ip("link")


@pytest.mark.parametrize("absent", [False, True], ids=["pyroute2", "own"])
def test_either_connection(device, monkeypatch, absent):
    """pyroute2's, and our own where there is none, as in the executable."""
    if absent:
        monkeypatch.setitem(sys.modules, "pyrunc.kernel.pyroute", None)
    with subprocess.Popen(["unshare", "-n", "sleep", "1000"]) as process:
        try:
            mine = os.readlink("/proc/self/ns/net")
            in_time(lambda: os.readlink(f"/proc/{process.pid}/ns/net") != mine)
            network.move_devices({device: NetDevice(name="eth7")}, process.pid)
            link = inside(str(process.pid))["eth7"]
        finally:
            process.kill()
    assert "UP" in link["flags"]
    assert {(row["local"], row.get("broadcast")) for row in link["addr_info"]} >= {
        ("192.0.2.7", "192.0.2.255"), ("2001:db8::7", None),
    }  # fmt: skip


@pytest.mark.parametrize("absent", [False, True], ids=["pyroute2", "own"])
@pytest.mark.parametrize("state", ["up", "down"])
def test_a_device_that_cannot_move_stays_as_it_was(monkeypatch, absent, state):
    """A bridge is bound to its namespace."""
    if absent:
        monkeypatch.setitem(sys.modules, "pyrunc.kernel.pyroute", None)
    name = f"pb{os.getpid() % 100000}"
    ip("link", "add", name, "type", "bridge")
    try:
        ip("link", "set", name, state)
        with subprocess.Popen(["unshare", "-n", "sleep", "1000"]) as process:
            try:
                mine = os.readlink("/proc/self/ns/net")
                in_time(lambda: os.readlink(f"/proc/{process.pid}/ns/net") != mine)
                with pytest.raises(PyruncError, match=f"move network device {name}"):
                    network.move_devices({name: NetDevice(name="eth7")}, process.pid)
            finally:
                process.kill()
        flags = json.loads(ip("-j", "link", "show", name))[0]["flags"]
        assert ("UP" in flags) == (state == "up")
    finally:
        ip("link", "del", name)


def test_a_device_that_is_not_there(runtime, bundle):
    bundle.config["linux"]["netDevices"] = {"nosuch0": {}}
    done = runtime.run(bundle.write())
    assert done.returncode == 1
    assert "there is no network device" in done.stderr
    assert "[/linux/netDevices/nosuch0]" in done.stderr


def test_a_name_that_is_taken(runtime, bundle, device):
    bundle.config["linux"]["netDevices"] = {device: {"name": "lo"}}
    done = runtime.run(bundle.write())
    assert done.returncode == 1
    assert f"move network device {device}: netlink: file exists" in done.stderr
    assert f" {device}@" in ip("link")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "a:b", "x" * 16])
def test_names_that_are_none(runtime, bundle, name):
    bundle.config["linux"]["netDevices"] = {"eth0": {"name": name}}
    done = runtime.run(bundle.write())
    assert done.returncode == 1
    assert "/linux/netDevices/eth0/name" in done.stderr


def test_without_a_namespace_to_go_to(runtime, bundle):
    linux = bundle.config["linux"]
    linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "network"]
    linux["netDevices"] = {"eth0": {}}
    done = runtime.run(bundle.write())
    assert done.returncode == 1
    assert "no network namespace" in done.stderr
