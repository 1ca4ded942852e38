# SPDX-License-Identifier: Apache-2.0
"""Every mount option of the specification, as the mount table inside shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.test_mounts import mount
from tests.lib.support import refused, said

TABLE = "cat /proc/self/mountinfo"
# option that sets -> the word of mountinfo; and the one that undoes it.
WORDS = {
    "ro": "ro", "nosuid": "nosuid", "nodev": "nodev", "noexec": "noexec",
    "nodiratime": "nodiratime", "nosymfollow": "nosymfollow", "noatime": "noatime",
}  # fmt: skip
UNDONE = {
    "rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "diratime": "nodiratime",
    "symfollow": "nosymfollow", "atime": "noatime",
}  # fmt: skip


def flags(text: str, place: str) -> set[str]:
    """The own flags of the mount at a place."""
    [line] = [line for line in text.splitlines() if line.split()[4] == place]
    return set(line.split()[5].split(","))


def superblock(text: str, place: str) -> set[str]:
    [line] = [line for line in text.splitlines() if line.split()[4] == place]
    return set(line.split()[-1].split(","))


def peers(text: str, place: str) -> str:
    [line] = [line for line in text.splitlines() if line.split()[4] == place]
    fields = line.split()
    return " ".join(fields[6 : fields.index("-")])


def filesystem(bundle, *options: str) -> None:
    mount(bundle, type="tmpfs", source="tmpfs", options=list(options))


@pytest.fixture
def tree(runtime, tmp_path):
    """On a host whose mounts are shared: a source with such flags, and a mount below it."""
    source = tmp_path / "source"
    source.mkdir()

    def made(options: str) -> str:
        script = (
            f"mount -t tmpfs none {source} && mkdir {source}/below && "
            f"mount -t tmpfs none {source}/below && mount -o remount,bind,{options} {source}/below "
            f'&& mount -o remount,bind,{options} {source} && exec "$@"'
        )
        runtime.prefix = ("unshare", "-m", "--propagation", "shared", "sh", "-c", script, "sh")
        return str(source)

    return made


@pytest.mark.parametrize("option", WORDS)
def test_a_flag_of_a_new_filesystem(runtime, bundle, option):
    filesystem(bundle, option)
    assert WORDS[option] in flags(said(runtime, bundle, TABLE), "/m")


@pytest.mark.parametrize("option", UNDONE)
def test_a_later_option_undoes_an_earlier_one(runtime, bundle, option):
    filesystem(bundle, UNDONE[option], option)
    assert UNDONE[option] not in flags(said(runtime, bundle, TABLE), "/m")


@pytest.mark.parametrize("option", WORDS)
def test_a_flag_of_a_bind_mount_is_the_upper_mounts_own(runtime, bundle, tree, option):
    mount(bundle, source=tree("rw"), options=["rbind", option])
    text = said(runtime, bundle, TABLE)
    assert WORDS[option] in flags(text, "/m")
    assert WORDS[option] not in flags(text, "/m/below")


@pytest.mark.parametrize("option", UNDONE)
def test_a_bind_mount_loses_a_flag_of_its_source(runtime, bundle, tree, option):
    mount(bundle, source=tree(UNDONE[option]), options=["rbind", option])
    text = said(runtime, bundle, TABLE)
    assert UNDONE[option] not in flags(text, "/m")
    assert UNDONE[option] in flags(text, "/m/below")


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["strictatime"], set()),
        (["strictatime", "nostrictatime"], {"relatime"}),
        (["noatime", "relatime"], {"relatime"}),
        (["strictatime", "relatime"], {"relatime"}),
        (["noatime", "norelatime"], {"relatime"}),
        (["strictatime", "noatime"], {"noatime"}),
    ],
)
def test_access_times_are_one_choice(runtime, bundle, options, shown):
    """The kernel refuses two of them at once; and relatime is its default."""
    filesystem(bundle, *options)
    found = flags(said(runtime, bundle, TABLE), "/m")
    assert found & {"noatime", "relatime"} == shown


@pytest.mark.parametrize(
    ("options", "has", "lacks"),
    [
        (["sync"], "sync", ""),
        (["sync", "async"], "", "sync"),
        (["dirsync"], "dirsync", ""),
        (["lazytime"], "lazytime", ""),
        (["lazytime", "nolazytime"], "", "lazytime"),
        (["mand"], "mand", ""),
        (["mand", "nomand"], "", "mand"),
    ],
)
def test_a_flag_of_the_filesystem_itself(runtime, bundle, options, has, lacks):
    filesystem(bundle, *options)
    found = superblock(said(runtime, bundle, TABLE), "/m")
    assert not has or has in found
    assert not lacks or lacks not in found


@pytest.mark.parametrize("option", ["silent", "loud", "defaults"])
def test_words_that_ask_for_nothing(runtime, bundle, option):
    """runc hands `defaults` to the filesystem, which refuses it."""
    filesystem(bundle, option, "size=64k")
    assert "size=64k" in superblock(said(runtime, bundle, TABLE), "/m")


@pytest.mark.parametrize("option", ["iversion", "noiversion"])
def test_change_counters(runtime, bundle, option):
    filesystem(bundle, option)
    assert "rw" in superblock(said(runtime, bundle, TABLE), "/m")


def test_what_no_table_knows_is_the_filesystems(runtime, bundle):
    filesystem(bundle, "size=64k", "mode=711,nr_inodes=7")
    text = said(runtime, bundle, TABLE + "; stat -c %a /m")
    assert {"size=64k", "nr_inodes=7", "mode=711"} <= superblock(
        "\n".join(text.splitlines()[:-1]), "/m"
    )
    assert text.splitlines()[-1] == "711"


def test_bind_takes_one_mount_and_rbind_all_below(runtime, bundle, tree):
    source = tree("rw")
    mount(bundle, source=source, options=["bind"])
    mount(bundle, destination="/all", source=source, options=["rbind"])
    places = {line.split()[4] for line in said(runtime, bundle, TABLE).splitlines()}
    assert {"/m", "/all", "/all/below"} <= places
    assert "/m/below" not in places


# What a recursive option makes of two mounts that have `before`; both show `has`, not `lacks`.
RECURSIVE = {
    "rro": ("rw", "ro", ""), "rrw": ("ro", "rw", "ro"),
    "rnosuid": ("rw", "nosuid", ""), "rsuid": ("nosuid", "", "nosuid"),
    "rnodev": ("rw", "nodev", ""), "rdev": ("nodev", "", "nodev"),
    "rnoexec": ("rw", "noexec", ""), "rexec": ("noexec", "", "noexec"),
    "rnodiratime": ("rw", "nodiratime", ""), "rdiratime": ("nodiratime", "", "nodiratime"),
    "rnosymfollow": ("rw", "nosymfollow", ""), "rsymfollow": ("nosymfollow", "", "nosymfollow"),
    "rnoatime": ("rw", "noatime", ""), "ratime": ("noatime", "", "noatime"),
    "rrelatime": ("noatime", "relatime", ""), "rnorelatime": ("noatime", "", "noatime"),
    "rstrictatime": ("noatime", "", "relatime"), "rnostrictatime": ("strictatime", "relatime", ""),
}  # fmt: skip


@pytest.mark.parametrize("option", RECURSIVE)
def test_a_recursive_option_reaches_the_mount_below(runtime, bundle, tree, option):
    before, has, lacks = RECURSIVE[option]
    mount(bundle, source=tree(before), options=["rbind", option])
    text = said(runtime, bundle, TABLE)
    for place in ("/m", "/m/below"):
        assert not has or has in flags(text, place)
        assert not lacks or lacks not in flags(text, place)
    if option == "rstrictatime":
        assert "noatime" not in flags(text, "/m/below")


# option -> what the upper and the lower mount are, on a host where both are shared.
PROPAGATION = {
    "private": ("", "master"), "rprivate": ("", ""),
    "slave": ("master", "master"), "rslave": ("master", "master"),
    "shared": ("shared", "master"), "rshared": ("shared", "shared"),
    "unbindable": ("unbindable", "master"), "runbindable": ("unbindable", "unbindable"),
}  # fmt: skip


@pytest.mark.parametrize("option", PROPAGATION)
def test_propagation(runtime, bundle, tree, option):
    mount(bundle, source=tree("rw"), options=["rbind", option])
    text = said(runtime, bundle, TABLE)
    upper, lower = PROPAGATION[option]
    for place, expected in (("/m", upper), ("/m/below", lower)):
        assert peers(text, place).startswith(expected)
        assert expected or not peers(text, place)


def test_options_of_a_filesystem_mean_nothing_to_a_bind_mount(runtime, bundle, tmp_path):
    """docs/design.md 15: callers give them all the same; runc refuses them since 1.2."""
    (tmp_path / "here").touch()
    mount(bundle, source=str(tmp_path), options=["bind", "size=5"])
    assert "here" in said(runtime, bundle, "ls /m")


def test_a_type_is_ignored_where_a_bind_is_asked_for(runtime, bundle, tmp_path):
    (tmp_path / "here").touch()
    mount(bundle, type="proc", source=str(tmp_path), options=["bind"])
    assert "here" in said(runtime, bundle, "ls /m")


def test_a_relative_source_is_the_bundles(runtime, bundle):
    (bundle.path / "data").mkdir()
    (bundle.path / "data" / "here").touch()
    mount(bundle, source="data", options=["bind"])
    assert said(runtime, bundle, "ls /m") == "here\n"


def test_a_source_names_the_mount(runtime, bundle):
    mount(bundle, type="tmpfs", source="named")
    assert "named /m tmpfs" in said(runtime, bundle, "cat /proc/mounts")


def test_a_type_that_is_missing(runtime, bundle):
    mount(bundle, source="tmpfs")
    assert "/type" in refused(runtime, bundle)


def test_mounts_come_in_their_order(runtime, bundle):
    """The later one covers the earlier one, and lies in what came before it."""
    mount(bundle, type="tmpfs", source="first")
    mount(bundle, destination="/m/in", type="tmpfs", source="second")
    mount(bundle, destination="/over", type="tmpfs", source="third")
    mount(bundle, destination="/over", type="tmpfs", source="fourth", options=["mode=711"])
    text = said(runtime, bundle, "grep -o '^[a-z]* /[mo][a-z/]*' /proc/mounts; stat -c %a /over")
    assert text.splitlines() == ["first /m", "second /m/in", "third /over", "fourth /over", "711"]


@pytest.mark.parametrize("destination", ["/new/deep", "new/deep", "/new/../new/./deep/"])
def test_a_destination_is_made_inside(runtime, bundle, destination):
    mount(bundle, destination=destination, type="tmpfs")
    text = said(runtime, bundle, "grep -c ' /new/deep tmpfs' /proc/mounts; stat -c %a /new")
    assert text == "1\n755\n"
    assert Path(bundle.rootfs / "new" / "deep").is_dir()


def test_a_file_is_bound_over_a_file_that_is_made(runtime, bundle, tmp_path):
    (tmp_path / "f").write_text("there\n")
    mount(bundle, destination="/etc/made", source=str(tmp_path / "f"), options=["bind", "ro"])
    assert said(runtime, bundle, "cat /etc/made; stat -c %F /etc") == "there\ndirectory\n"


def test_a_tmpfs_takes_the_mode_that_it_covers(runtime, bundle):
    (bundle.rootfs / "m").mkdir()
    (bundle.rootfs / "m").chmod(0o1701)
    filesystem(bundle)
    assert said(runtime, bundle, "stat -c %a /m") == "1701\n"


@pytest.mark.parametrize("kind", ["bind", "none", "rbind", None])
def test_a_bind_mount_without_the_option_says_what_it_lacks(runtime, bundle, kind):
    mount = {"destination": "/mnt", "source": "/tmp", "options": ["ro"], "type": kind}
    bundle.config["mounts"].append(mount)
    text = refused(runtime, bundle)
    where = len(bundle.config["mounts"]) - 1
    assert f"[/mounts/{where}/type]" in text or f"/mounts/{where}/type: " in text
    assert 'add \\"bind\\" or \\"rbind\\" to its options' in text
