# SPDX-License-Identifier: Apache-2.0
"""`pyrunc validate`: all that create would have against a bundle, and nothing is touched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import pyrunc


def validated(runtime, bundle, *options):
    bundle.write()
    return runtime("validate", "-b", str(bundle.path), *options, check=False)


def test_a_good_bundle(runtime, bundle):
    done = validated(runtime, bundle)
    assert (done.returncode, done.stdout, done.stderr) == (0, "config.json: valid\n", "")
    assert pyrunc.validate(bundle.path) == []
    assert not os.path.exists(runtime.root) or os.listdir(runtime.root) == []


def test_every_fault_and_all_that_is_odd(runtime, bundle):
    """Of the document, of the plan, of the device rules, of the bundle."""
    config = bundle.config
    config["root"]["path"] = "nowhere"
    config["process"]["cwd"] = "relative"
    config["mounts"] = [
        {"destination": "/a", "type": "tmpfs", "source": 5},
        {"destination": "/proc/sys/x", "type": "tmpfs"},
        {"destination": "/b", "options": ["bind"]},
    ]
    config["linux"]["resources"] = {
        "devices": [
            {"allow": True, "type": "c", "access": "rwm"},
            {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
        ]
    }
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdri"], "action": "SCMP_ACT_ERRNO"}],
    }
    config["linux"]["maskedPath"] = []
    done = validated(runtime, bundle)
    assert done.returncode == 1
    *rows, summary = done.stdout.splitlines()
    places = [row.split(": ")[:2] for row in rows]
    assert sorted(places) == [
        ["error", "/linux/resources/devices/1"],
        ["error", "/mounts/0/source"],
        ["error", "/mounts/1/destination"],
        ["error", "/mounts/2/source"],
        ["error", "/process/cwd"],
        ["error", "/root/path"],
        ["warning", "/linux/maskedPath"],
        ["warning", "/linux/seccomp/syscalls/0/names/0"],
    ]
    assert summary == "config.json: 6 errors, 2 warnings"
    assert 'is it "mkdir"?' in done.stdout
    read = json.loads(validated(runtime, bundle, "--json").stdout)
    assert [[row["level"], row["pointer"]] for row in read] == places
    assert [finding.to_json() for finding in pyrunc.validate(bundle.path)] == read


def test_the_first_error_of_create_is_among_them(runtime, bundle):
    bundle.config["mounts"].append({"destination": "/x", "type": "none"})
    refused = runtime("create", "-b", str(bundle.write().path), "x", check=False)
    (row, _) = validated(runtime, bundle).stdout.splitlines()
    assert refused.returncode == 1
    assert row.removeprefix("error: ") in refused.stderr.replace("\\", "")


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 1)])
def test_what_is_odd_counts_when_strict(runtime, bundle, options, code):
    bundle.config["linux"]["maskedPath"] = []
    done = validated(runtime, bundle, *options)
    assert done.returncode == code
    assert done.stdout.endswith("config.json: 1 warning\n")


def test_another_file_and_none(runtime, bundle, tmp_path):
    other = tmp_path / "other.json"
    other.write_text("{")
    done = validated(runtime, bundle, "--config", str(other))
    assert done.returncode == 1
    assert done.stdout.startswith("error: not valid JSON: expecting property name")
    assert done.stdout.endswith(f"{other}: 1 error\n")
    done = runtime("validate", "-b", str(tmp_path / "none"), check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "JSON specification file config.json not found" in done.stderr


def test_for_an_unprivileged_user(runtime, bundle, tmp_path):
    """Nothing of the host is asked, so that it says the same to everybody."""
    bundle.config["process"]["args"] = []
    expected = validated(runtime, bundle).stdout
    for place in (bundle.path, *bundle.path.parents):
        if place.stat().st_uid == 0 and place != Path("/"):
            place.chmod(place.stat().st_mode | 0o055)
    (bundle.path / "config.json").chmod(0o644)
    done = runtime("validate", "-b", str(bundle.path), check=False, user=65534)
    assert (done.returncode, done.stdout, done.stderr) == (1, expected, "")
