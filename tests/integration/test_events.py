# SPDX-License-Identifier: Apache-2.0
"""events: statistics and out-of-memory kills, as a stream and as an iterator."""

from __future__ import annotations

import json
import os
import select
import subprocess
import threading
import time

import pytest

import pyrunc
from tests.lib import support

MIB = 1 << 20
# What moves between two looks, or is newer than runc 1.1.
MOVING = {
    "total",
    "percpu",
    "percpu_kernel",
    "percpu_user",
    "kernel",
    "user",
    "usage",
    "max",
    "raw",
}


def sleeper(runtime, bundle):
    name = runtime.create(bundle.args("/bin/sleep", "100"))
    runtime("start", name)
    return name


class Stream:
    """`events` in the background, and its lines."""

    def __init__(self, runtime, name, *options):
        self.process = subprocess.Popen(
            [runtime.program, "--root", str(runtime.root), "events", *options, name],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def line(self, seconds=20):
        assert readable(self.process.stdout, seconds * support.SLOW), "no line in time"
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def readable(file, seconds):
    return bool(select.select([file], [], [], seconds)[0])


def oom_eater(bundle):
    """Its child takes more memory than there is, again and again; init lives on."""
    script = "read x < /go; " + "sh -c 'x=a; while :; do x=$x$x; done'; " * 2 + "sleep 100"
    os.mkfifo(bundle.rootfs / "go")
    bundle.config["root"]["readonly"] = False
    bundle.config["linux"]["resources"]["memory"] = {"limit": 16 * MIB, "swap": 16 * MIB}
    return bundle.shell(script)


def go(bundle):
    (bundle.rootfs / "go").write_text("x\n")


def test_stats_once(runtime, bundle):
    bundle.config["linux"]["resources"] |= {"pids": {"limit": 77}, "memory": {"limit": 64 * MIB}}
    name = sleeper(runtime, bundle)
    done = runtime("events", "--stats", name)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert " " not in done.stdout
    found = json.loads(done.stdout)
    assert list(found) == ["type", "id", "data"]
    assert (found["type"], found["id"]) == ("stats", name)
    assert found["data"]["pids"] == {"current": 1, "limit": 77}
    assert found["data"]["memory"]["usage"]["limit"] == 64 * MIB
    assert found["data"]["cpu"]["usage"]["total"] > 0


def shape(value):
    """Keys in their order; of numbers that move only that they are there."""
    if not isinstance(value, dict):
        return value
    return [
        (key, "moves" if key in MOVING and not isinstance(member, dict) else shape(member))
        for key, member in value.items()
        if key not in ("psi", "hugetlb", "raw", "blkio", "cache", "throttling")
    ]


def test_stats_as_runc(runtime, runc, bundle):
    """The line of both, of a container of each with the same limits."""
    bundle.config["linux"]["resources"] |= {
        "memory": {"limit": 64 * MIB, "swap": 96 * MIB},
        "pids": {"limit": 77},
    }
    found = []
    for either in (runc, runtime):
        name = sleeper(either, bundle)
        line = json.loads(either("events", "--stats", name).stdout)
        assert line.pop("id") == name
        found.append(shape(line))
    assert found[0] == found[1]


def test_a_stream_ends_with_the_container(runtime, bundle):
    name = sleeper(runtime, bundle)
    began = time.monotonic()
    with Stream(runtime, name, "--interval=200ms") as stream:
        for turn in range(3):
            line = stream.line()
            assert (line["type"], line["id"]) == ("stats", name)
            assert time.monotonic() - began >= 0.2 * (turn + 1)
        runtime("kill", name, "KILL")
        out, err = stream.process.communicate(timeout=20 * support.SLOW)
        assert (stream.process.returncode, err) == (0, b"")
        assert all(json.loads(row)["type"] == "stats" for row in out.splitlines())


def test_the_first_statistics_come_after_an_interval(runtime, bundle):
    name = sleeper(runtime, bundle)
    with Stream(runtime, name) as stream:
        assert not readable(stream.process.stdout, 1)


def test_out_of_memory(runtime, bundle):
    name = runtime.create(oom_eater(bundle))
    runtime("start", name)
    with Stream(runtime, name, "--interval", "1h") as stream:
        time.sleep(0.5 * support.SLOW)  # until it listens
        go(bundle)
        for _ in range(2):
            assert stream.line() == {"type": "oom", "id": name}
        # One line for each.
        assert not readable(stream.process.stdout, 1)
        runtime("delete", "--force", name)
        assert stream.process.wait(20 * support.SLOW) == 0


def test_a_reader_that_goes_ends_it_quietly(runtime, bundle):
    name = sleeper(runtime, bundle)
    with Stream(runtime, name, "--interval", "50ms") as stream:
        stream.line()
        stream.process.stdout.close()
        assert stream.process.wait(20 * support.SLOW) == 0
        assert stream.process.stderr.read() == b""
        stream.process.stdout = open(os.devnull, "rb")  # noqa: SIM115  # for communicate


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0s", "duration interval must be greater than 0"),
        ("0", "duration interval must be greater than 0"),
        ("-1s", "duration interval must be greater than 0"),
        ("5", 'invalid value "5" for flag -interval: parse error'),
        ("1x", 'invalid value "1x" for flag -interval: parse error'),
        ("", 'invalid value "" for flag -interval: parse error'),
    ],
)
def test_invalid_intervals(runtime, bundle, text, words):
    name = sleeper(runtime, bundle)
    done = runtime("events", f"--interval={text}", name, check=False)
    assert done.returncode == 1
    assert words in done.stderr.replace('\\"', '"')


def test_an_iterator(runtime, bundle):
    name = sleeper(runtime, bundle)
    container = pyrunc.Container.load(name, root=str(runtime.root))
    before = sorted(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    with container.events(interval=0.05) as events:
        found = next(events)
        assert found.type == "stats"
        assert found.stats.pids.current == 1
        assert readable(events, 10 * support.SLOW)
        # Polled, and read without waiting.
        kinds = []
        while len(kinds) < 3:
            assert readable(events, 10 * support.SLOW)
            kinds += [event.type for event in events.read()]
        assert kinds == ["stats"] * 3
        container.kill(9)
        rest = list(events)
        assert all(event.type == "stats" for event in rest)
        assert events.ended
        assert events.read() == []
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert threading.active_count() == threads
    with pytest.raises(pyrunc.ContainerNotRunning, match=f"container with id {name} is not"):
        container.events()
    with pytest.raises(pyrunc.ContainerNotRunning, match=f"container with id {name} is not"):
        container.stats()


def test_an_iterator_that_is_dropped_leaves_nothing(runtime, bundle):
    name = sleeper(runtime, bundle)
    container = pyrunc.Container.load(name, root=str(runtime.root))
    before = sorted(os.listdir("/proc/self/fd"))
    for polled in (False, True):
        events = container.events(interval=60)
        if polled:
            # The kernel reports a file's first state as a change.
            while readable(events, 0):
                assert events.read() == []
        events.close()
        events.close()
        assert sorted(os.listdir("/proc/self/fd")) == before
    with pytest.raises(pyrunc.UsageError, match="greater than 0"):
        container.events(interval=0)


def test_memory_of_the_library(runtime, bundle):
    name = runtime.create(oom_eater(bundle))
    runtime("start", name)
    container = pyrunc.Container.load(name, root=str(runtime.root))
    with container.events(interval=600) as events:
        go(bundle)
        first = next(events)
        assert first.type == "oom"
        assert first.oom.oom_kill == 1
        assert first.stats is None
    assert container.stats().memory.events["oom_kill"] >= 1
