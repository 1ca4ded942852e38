# SPDX-License-Identifier: Apache-2.0
"""observe.features: the shape that engines read, and nothing that is refused elsewhere."""

from __future__ import annotations

from pyrunc import jsontext
from pyrunc.observe.features import features


def test_the_document_has_what_engines_read() -> None:
    found = features("2.5.4", version="0.1.0")
    assert (found["ociVersionMin"], found["ociVersionMax"]) == ("1.0.0", "1.3.0")
    assert found["hooks"][0] == "prestart"
    assert len(found["linux"]["capabilities"]) == 41
    assert found["linux"]["capabilities"][21] == "CAP_SYS_ADMIN"
    assert "user" in found["linux"]["namespaces"]
    assert found["annotations"] == {
        "org.opencontainers.runc.checkpoint.enabled": "true",
        "org.pyrunc.version": "0.1.0",
        "io.github.seccomp.libseccomp.version": "2.5.4",
    }
    assert jsontext.loads(jsontext.dumps_indented(found, "    ").encode()) == found


def test_mount_options_are_those_of_runc_and_id_maps() -> None:
    # runc 1.5's list
    runc = [
        "async",
        "atime",
        "bind",
        "defaults",
        "dev",
        "diratime",
        "dirsync",
        "exec",
        "iversion",
        "lazytime",
        "loud",
        "mand",
        "noatime",
        "nodev",
        "nodiratime",
        "noexec",
        "noiversion",
        "nolazytime",
        "nomand",
        "norelatime",
        "nostrictatime",
        "nosuid",
        "nosymfollow",
        "private",
        "ratime",
        "rbind",
        "rdev",
        "rdiratime",
        "relatime",
        "remount",
        "rexec",
        "rnoatime",
        "rnodev",
        "rnodiratime",
        "rnoexec",
        "rnorelatime",
        "rnostrictatime",
        "rnosuid",
        "rnosymfollow",
        "ro",
        "rprivate",
        "rrelatime",
        "rro",
        "rrw",
        "rshared",
        "rslave",
        "rstrictatime",
        "rsuid",
        "rsymfollow",
        "runbindable",
        "rw",
        "shared",
        "silent",
        "slave",
        "strictatime",
        "suid",
        "symfollow",
        "sync",
        "tmpcopyup",
        "unbindable",
    ]
    assert features(None)["mountOptions"] == sorted([*runc, "idmap", "ridmap"])


def test_systemds_driver_is_offered_whatever_the_host_is() -> None:
    cgroup = features(None)["linux"]["cgroup"]
    assert (cgroup["systemd"], cgroup["systemdUser"]) == (True, True)


def test_without_libseccomp_there_is_no_seccomp() -> None:
    found = features(None)
    assert found["linux"]["seccomp"] == {"enabled": False}
    assert "io.github.seccomp.libseccomp.version" not in found["annotations"]


def test_the_core_can_narrow_what_seccomp_offers() -> None:
    seccomp = features("2.5.4", supported_flags=("A",), archs=("B",))["linux"]["seccomp"]
    assert seccomp["supportedFlags"] == ["A"]
    assert seccomp["archs"] == ["B"]
