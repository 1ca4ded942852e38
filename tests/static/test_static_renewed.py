# SPDX-License-Identifier: Apache-2.0
"""What an image finds when it comes back, told by an image of a small program (renew.c)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
sys.path.append("{tree}/tools/static")
import json, os, signal, threading, time
import _image, renew

def entry():
    # The seed has emptied this module; what was imported is found again.
    import json, os, signal, sys, threading, time
    def deep(n):
        return n and deep(n - 1)
    results = []
    threads = [threading.Thread(target=lambda: results.append([0] * 100000)) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    child = os.fork()
    if not child:
        os._exit(7)
    try:
        deep(10**6)
    except RecursionError as error:
        recursion = str(error)
    told = dict(
        argv=sys.argv, orig_argv=sys.orig_argv, environ=dict(os.environ), threads=len(results),
        main=threading.current_thread() is threading.main_thread(),
        ident=threading.main_thread().ident == threading.get_ident(),
        native=threading.main_thread().native_id == os.getpid(),
        child=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), recursion=recursion,
        hup=int(signal.getsignal(signal.SIGHUP)), pipe=int(signal.getsignal(signal.SIGPIPE)),
        int=signal.getsignal(signal.SIGINT) is signal.default_int_handler, tz=time.tzname,
        offset=time.timezone, again=time.tzname, local=time.strftime("%H:%M", time.localtime(0)),
        out=[sys.stdout.line_buffering, sys.stdout.errors, sys.stdout.isatty()], path=sys.path,
        err=[sys.stderr.line_buffering, sys.stderr.errors], cwd=os.getcwd(), pid=os.getpid(),
        fds=sorted(os.listdir("/proc/self/fd")),
    )
    print(json.dumps(told), flush=True)
    os._exit(0)

def main():
    path = sys.argv[0]
    sys.argv[:] = sys.orig_argv[:] = []
    renew.drop_streams()
    renew.forget()
    sys.path[:] = []
    sys.path_importer_cache.clear()
    _image.immortalise()
    _image.keep(path, renew.renew, entry)
"""


@pytest.fixture(scope="module")
def probe(tmp_path_factory) -> Path:
    work = TREE / "build" / "static"
    if not (work / "seed").exists():
        pytest.skip("needs build/static, which the build leaves")
    place = tmp_path_factory.mktemp("probe")
    (place / "probe.py").write_text(PROGRAM.replace("{tree}", str(TREE)))
    library = (work / "library").read_text()
    done = subprocess.run(
        [work / "seed", library, place / "probe.py", place / "image"],
        capture_output=True, text=True, check=False,
        env={"TZ": "America/New_York", "BUILDER": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place / "image"


def told(probe: Path, *arguments: str | bytes, **options) -> dict:
    done = subprocess.run(
        [probe, *arguments], capture_output=True, check=False, timeout=60,
        **{"stdin": subprocess.DEVNULL} | options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_arguments_and_variables_are_the_caller_s(probe):
    found = told(probe, "a", b"\xff", "", env={"A": "1", "ü": "=x"})
    assert found["argv"] == found["orig_argv"] == [str(probe), "a", "\udcff", ""]
    assert found["environ"] == {"A": "1", "ü": "=x"}
    assert found["path"] == []


def test_the_process_is_this_one(probe, tmp_path):
    process = subprocess.Popen([probe], cwd=tmp_path, stdout=subprocess.PIPE)
    found = json.loads(process.communicate(timeout=60)[0])
    assert found["pid"] == process.pid
    assert found["cwd"] == str(tmp_path)
    # The listing's own is among them.
    assert len(found["fds"]) <= 4


def test_threads_and_forks(probe):
    found = told(probe)
    assert found["threads"] == 8
    assert (found["main"], found["ident"], found["native"]) == (True, True, True)
    assert found["child"] == 7
    assert "recursion" in found["recursion"]


def test_signals_are_as_the_caller_left_them(probe):
    found = told(probe)
    assert (found["hup"], found["pipe"], found["int"]) == (signal.SIG_DFL, signal.SIG_IGN, True)

    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    found = told(probe, preexec_fn=ignore)
    assert (found["hup"], found["int"]) == (signal.SIG_IGN, False)


def test_the_time_zone_is_not_the_builder_s(probe):
    """By POSIX's own notation: a host may have no files of time zones."""
    found = told(probe, env={"TZ": "XYZ-9"})
    assert found["tz"][0] == "XYZ"
    assert found["offset"] == -9 * 3600
    assert found["local"] == "09:00"
    assert told(probe, env={"TZ": "UTC0"})["local"] == "00:00"


def test_standard_streams(probe):
    found = told(probe)
    assert found["out"] == [False, "surrogateescape", False]
    assert found["err"] == [True, "backslashreplace"]
    master, slave = os.openpty()
    process = subprocess.Popen([probe], stdout=slave, stdin=slave, stderr=slave)
    os.close(slave)
    data = b""
    while not data.endswith(b"}\r\n"):
        data += os.read(master, 65536)
    process.wait()
    os.close(master)
    assert json.loads(data)["out"] == [True, "surrogateescape", True]


def test_many_at_once(probe):
    """No start depends on another."""
    found = []
    threads = [threading.Thread(target=lambda: found.append(told(probe))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one["pid"] for one in found}) == 20
