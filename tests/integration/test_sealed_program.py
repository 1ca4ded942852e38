# SPDX-License-Identifier: Apache-2.0
"""Hosts that let no memory file be executed (vm.memfd_noexec=2), or none of that size be written.

The sysctl belongs to a pid namespace, so each test has one of its own.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

import pyrunc
from tests.lib.support import IS_EXECUTABLE, SLOW

PROGRAM = Path(pyrunc.__file__).parent / "pyrunc-init"
SYSCTL = "/proc/sys/vm/memfd_noexec"


def hardened(script: str, **options) -> subprocess.CompletedProcess[str]:
    """Run a script of the shell where no memory file may be executed."""
    if not os.path.exists(SYSCTL):
        pytest.skip("needs vm.memfd_noexec (Linux 6.3)")
    line = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c"]
    return subprocess.run(
        [*line, f"echo 2 > {SYSCTL} || exit 99; {script}"],
        check=False, capture_output=True, text=True, timeout=60 * SLOW, stdin=subprocess.DEVNULL,
        **options,
    )  # fmt: skip


def command(runtime) -> str:
    return f"{runtime.program} --root {runtime.root}"


def test_a_life(runtime, bundle):
    bundle.shell("echo inside")
    name = runtime.new_id()
    done = hardened(f"{command(runtime)} run -b {bundle.path} {name}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "inside\n", "")


def test_with_a_user_namespace_and_id_mapped_mounts(runtime, bundle, tmp_path):
    """Those are made with the help of a process that executes it too."""
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.config["linux"] |= {"uidMappings": maps, "gidMappings": maps}
    for path in (tmp_path, *tmp_path.parents, bundle.path):
        if str(path).startswith("/tmp/"):
            os.chmod(path, 0o755)
    subprocess.run(["chown", "-Rh", "100000:100000", bundle.rootfs], check=True)
    bundle.shell("id -u")
    done = hardened(f"{command(runtime)} run -b {bundle.path} {runtime.new_id()}")
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


# As root with every right that a container may be given. pid 1 is pyrunc-init until the start,
# and each `exec` is for a moment.
ATTACKS = {
    "created": """
        for way in '>' '>>' '<>'; do eval "echo overwritten 1$way/proc/1/exe" || echo refused; done
        mount -o remount,rw /proc/1/exe || echo refused
    """,
    "running": """
        (while :; do for p in /proc/[0-9]*; do echo overwritten > $p/exe; done; done) &
        echo refused refused refused refused
    """,
}


@pytest.mark.parametrize("state", ATTACKS)
def test_the_installed_program_cannot_be_written_to(runtime, bundle, state):
    """CVE-2019-5736: it is in reach by /proc/PID/exe while it is executed in a container."""
    before = hashlib.sha256(PROGRAM.read_bytes()).digest()
    every = bundle.config["process"]["capabilities"]
    for kind in ("bounding", "effective", "permitted"):
        every[kind] = [*every[kind], "CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"]
    (bundle.rootfs / "attack").write_text(ATTACKS[state])
    bundle.args("sleep", "1000")
    name = runtime.new_id()
    run = command(runtime)
    done = hardened(
        f"{run} create -b {bundle.path} {name} >/dev/null 2>&1 || exit 1;"
        + (f"{run} start {name} || exit 2;" if state == "running" else "")
        + f"{run} exec {name} sh /attack 2>/dev/null;"
        f"for i in 1 2 3 4 5; do {run} exec {name} true; done; {run} delete -f {name}"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("refused") == 4, done.stdout
    assert hashlib.sha256(PROGRAM.read_bytes()).digest() == before


def test_an_ordinary_user(runtime, bundle, tmp_path):
    """Without the right to mount it is a file without a name, one for each start."""
    for path in (tmp_path, *tmp_path.parents, bundle.path):
        if str(path).startswith("/tmp/"):
            os.chmod(path, 0o755)
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["chown", "-Rh", "1000:1000", home, bundle.path], check=True)
    done = subprocess.run(
        ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", "sh", "-c",
         f"cd {bundle.path} && {runtime.program} spec --rootless -b {home}"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    config = (home / "config.json").read_text().replace('"terminal": true', '"terminal": false')
    (home / "config.json").write_text(config.replace('"sh"', '"id"'))
    (home / "rootfs").symlink_to(bundle.rootfs)
    done = hardened(
        "exec setpriv --reuid 1000 --regid 1000 --clear-groups env XDG_RUNTIME_DIR="
        f"{home} {runtime.program} --root {home}/state run -b {home} one"
    )
    assert done.returncode == 0, done.stderr
    assert "uid=0" in done.stdout


@pytest.mark.parametrize("blocks", [16, 64])
def test_a_limit_on_the_size_of_files(runtime, bundle, blocks):
    """`ulimit -f` below the size of pyrunc-init is for the caller's files."""
    if IS_EXECUTABLE:
        # Inside an executable it is no file that could be executed from where it lies.
        with open("/proc/self/status") as status:
            caps = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff"))
        if not caps >> 24 & 1:
            pytest.skip("needs CAP_SYS_RESOURCE, to set the limit aside for a moment")
    bundle.shell("ulimit -f")
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f {blocks}; exec {command(runtime)} run -b {bundle.path} "
         + runtime.new_id()],
        check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) in (blocks, 2 * blocks), "the program has it too, in its shell's unit"
