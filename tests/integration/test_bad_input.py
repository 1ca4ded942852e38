# SPDX-License-Identifier: Apache-2.0
"""Bad input: one clear line, exit 1, nothing left."""

from __future__ import annotations

import json
import os

import pytest

from tests.lib import support

CREATE = "runc create failed: "
START = CREATE + "unable to start container process: "


def refused(runtime, bundle, name=None, *options):
    """The one line that a failing create prints; checks that nothing is left."""
    name = runtime.new_id() if name is None else name
    done = runtime("create", *options, "-b", str(bundle.path), name, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not runtime.root.exists() or not list(runtime.root.iterdir())
    assert not any(support.cgroups_named(made) for made in runtime.ids)
    _, _, message = lines[0].partition("msg=")
    return json.loads(message) if message.startswith('"') else message


DOCUMENTS = {
    "not JSON": ("hello", "not valid JSON"),
    "empty": ("", "not valid JSON"),
    "cut": ('{"ociVersion": "1.0.2"', "not valid JSON"),
    "null": ("null", "config cannot be null"),
    "a list": ("[]", "object"),
    "twice": ('{"ociVersion":"1.0.2","ociVersion":"1.0.2"}', "twice"),
    "NaN": ('{"ociVersion":"1.0.2","process":{"oomScoreAdj":NaN}}', "NaN"),
    "20 MB": ('{"x":"' + "a" * (20 << 20) + '"}', "16 MiB"),
    "not UTF-8": (b'{"x":"\xff"}', "UTF-8"),
    "deep": ("[" * 100_000, "nested too deeply"),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_documents(runtime, bundle, kind):
    text, expected = DOCUMENTS[kind]
    message = refused(runtime, bundle.raw(text))
    assert message.startswith(CREATE + "config.json: ")
    assert expected in message


def test_no_config(runtime, bundle):
    (bundle.path / "config.json").unlink()
    assert refused(runtime, bundle) == (
        f"{CREATE}JSON specification file config.json not found (in {bundle.path}; `pyrunc spec` "
        "makes one, --bundle names another place)"
    )


def test_no_bundle(runtime, bundle):
    bundle.path = bundle.path / "nosuch"
    message = refused(runtime, bundle)
    assert message == f"{CREATE}chdir {bundle.path}: no such file or directory"


PROPERTIES = {
    # pointer -> (value, what the line must say)
    "/process/args": ([], "args must not be empty"),
    "/process/cwd": ("relative", "Cwd must be an absolute path"),
    "/process/user/uid": (1 << 32, "/process/user/uid"),
    "/process/user/gid": (-1, "/process/user/gid"),
    "/process/env": ("PATH=/bin", "/process/env"),
    "/process/terminal": ("yes", "/process/terminal"),
    "/process/oomScoreAdj": (1.5, "/process/oomScoreAdj"),
    "/linux/namespaces/0/type": ("galaxy", "galaxy"),
    "/linux/namespaces/0/path": ("/nosuch/ns", "no such file or directory"),
    "/root/path": ("nosuch", "no such file or directory"),
    "/linux/resources/memory": ({"limit": 1 << 63}, "/linux/resources/memory/limit"),
    "/mounts/0/destination": ("", "/mounts/0/destination"),
    "/linux/seccomp": ({"defaultAction": "SCMP_ACT_MAYBE"}, "SCMP_ACT_MAYBE"),
    "/linux/sysctl": ({"kernel.core_pattern": "|/evil"}, "kernel.core_pattern"),
    "/hooks": ({"prestart": [{"path": "relative"}]}, "/hooks/prestart/0/path"),
    "/linux/intelRdt": ({"closID": "x"}, "resctrl is not mounted"),
}


@pytest.mark.parametrize("pointer", PROPERTIES)
def test_properties(runtime, bundle, pointer):
    value, expected = PROPERTIES[pointer]
    *path, last = pointer[1:].split("/")
    place = bundle.config
    for part in path:
        place = place[int(part) if isinstance(place, list) else part]
    place[last] = value
    message = refused(runtime, bundle.write())
    assert expected in message
    assert pointer.split("/")[1] in message or "/root/path" in pointer


def test_mount_source_that_does_not_exist(runtime, bundle):
    bundle.config["mounts"].append(
        {"destination": "/mnt", "source": "/nosuch", "options": ["rbind"]}
    )
    index = len(bundle.config["mounts"]) - 1
    message = refused(runtime, bundle.write())
    assert message.startswith(START + 'error mounting "/nosuch"')
    assert "no such file or directory" in message
    assert f"/mounts/{index}" in message


COMMANDS = {
    "nosuch": 'exec: "nosuch": executable file not found in $PATH',
    "/nosuch": 'exec: "/nosuch": stat /nosuch: no such file or directory',
    "/bin": 'exec: "/bin": is a directory',
    "/file": 'exec: "/file": permission denied',
    "": 'exec: "": executable file not found in $PATH',
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(runtime, bundle, command):
    (bundle.rootfs / "file").write_text("not a program")
    assert refused(runtime, bundle.args(command)) == START + COMMANDS[command]


def test_cwd_that_is_a_file(runtime, bundle):
    bundle.config["process"]["cwd"] = "/bin/busybox"
    assert "not a directory" in refused(runtime, bundle.write())


@pytest.mark.parametrize("name", ["..", ".", "a/b", "", "a b", "é", "x" * 256, "a\n"])
def test_ids(runtime, bundle, name):
    (runtime.root.parent / "sibling").mkdir()
    message = refused(runtime, bundle, name)
    expected = "container id cannot be empty" if not name else "invalid container ID format"
    assert expected in message
    for command in ("state", "start", "delete", "kill"):
        done = runtime(command, name, check=False)
        assert done.returncode == 1
        assert expected in done.stderr
    assert runtime("delete", "--force", name, check=False).returncode == 1
    assert (runtime.root.parent / "sibling").is_dir()


def test_console_socket_rules(runtime, bundle):
    bundle.config["process"]["terminal"] = True
    message = refused(runtime, bundle.write())
    assert "cannot allocate tty if runc will detach without setting console socket" in message
    bundle.config["process"]["terminal"] = False
    message = refused(runtime, bundle.write(), None, "--console-socket", "/nosuch")
    assert "cannot use console socket if runc will not detach or allocate tty" in message


def test_a_message_is_one_line_whatever_the_names(runtime, bundle):
    message = refused(runtime, bundle.args("a\nb\x1b[31m"))
    assert "\n" not in message
    assert "\x1b" not in message


@pytest.mark.parametrize("link", ["/tmp", "../..", "/nosuch", "/proc/self"])
@pytest.mark.parametrize("name", ["proc", "sys"])
def test_proc_and_sys_that_are_links(runtime, bundle, name, link):
    """CVE-2019-19921, CVE-2023-27561."""
    os.symlink(link, bundle.rootfs / name)
    assert f"/{name}" in refused(runtime, bundle)


def test_a_bundle_whose_path_is_not_utf8(runtime, bundle, tmp_path):
    """JSON cannot name it: not the state, not what hooks read. runc 1.1 looks for another path."""
    path = tmp_path / os.fsdecode(b"bundle-\xff")
    bundle.path.rename(path)
    for where in (path, tmp_path / "link"):
        done = runtime("run", "-b", str(where), runtime.new_id(), check=False)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "is not UTF-8" in done.stderr
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(path)
    assert not list(runtime.root.iterdir()) if runtime.root.exists() else True
