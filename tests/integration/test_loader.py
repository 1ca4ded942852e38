# SPDX-License-Identifier: Apache-2.0
"""A program whose loader or interpreter is missing: execve says ENOENT, and of what it does not."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.lib.support import said


@pytest.fixture
def dynamic(bundle, tmp_path):
    """A program in the image, which has no such loader."""
    if not shutil.which("cc"):
        pytest.skip("needs cc")
    source = tmp_path / "p.c"
    source.write_text("int main(void) { return 7; }\n")
    program = bundle.rootfs / "bin" / "dynamic"
    command = ["cc", "-o", str(program), str(source), "-Wl,--dynamic-linker=/lib/no-such-ld.so"]
    subprocess.run(command, check=True)
    return program


def script(bundle, first: str) -> str:
    path = bundle.rootfs / "bin" / "script"
    path.write_bytes(first.encode() + b"echo hello\n")
    path.chmod(0o755)
    return "/bin/script"


def refusal(runtime, bundle, tmp_path, *args: str) -> str:
    log = tmp_path / "log"
    runtime.options = ("--log", str(log))
    done = runtime.run(bundle.args(*args))
    assert done.returncode == 1
    runtime.options = ()
    text = log.read_text()
    log.unlink()
    # What engines make exit code 127 of.
    assert "no such file or directory" in text
    assert text.count("\n") == 1
    return text


def test_the_loader_of_a_dynamic_program(runtime, bundle, dynamic, tmp_path):
    assert "/lib/no-such-ld.so" in refusal(runtime, bundle, tmp_path, "/bin/dynamic")
    assert "/lib/no-such-ld.so" in refusal(runtime, bundle, tmp_path, "dynamic")


@pytest.mark.parametrize("first", ["#!/no/such\n", "#! /no/such -x\n", "#!/no/such"])
def test_the_interpreter_of_a_script(runtime, bundle, tmp_path, first):
    assert "/no/such" in refusal(runtime, bundle, tmp_path, script(bundle, first))


def test_line_ends_of_another_system(runtime, bundle, tmp_path):
    assert "/bin/sh\\\\r" in refusal(runtime, bundle, tmp_path, script(bundle, "#!/bin/sh\r\n"))


def test_an_interpreter_that_lacks_its_own(runtime, bundle, dynamic, tmp_path):
    text = refusal(runtime, bundle, tmp_path, script(bundle, "#!/bin/dynamic\n"))
    assert "/lib/no-such-ld.so" in text


def test_exec(runtime, bundle, dynamic):
    name = runtime.create(bundle.args("/bin/sleep", "100"))
    runtime("start", name)
    done = runtime("exec", name, "/bin/dynamic", check=False)
    assert done.returncode == 255
    assert "/lib/no-such-ld.so" in done.stderr


def test_what_is_there_runs(runtime, bundle):
    bundle.args(script(bundle, "#!/bin/sh -e\n"))
    assert runtime.run(bundle).stdout == "hello\n"


def test_what_may_not_be_read_runs(runtime, bundle):
    path = bundle.rootfs / "bin" / "busybox"
    path.chmod(0o711)
    bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
    assert said(runtime, bundle, "echo hello") == "hello\n"


def test_a_hook_that_brings_it(runtime, bundle):
    """A startContainer hook runs after `start`: not before that anything is missing."""
    bundle.config["root"]["readonly"] = False
    making = r"""printf '#!/bin/sh\nexec /bin/sh "$@"\n' > /bin/late; chmod 755 /bin/late"""
    hook = {"path": "/bin/sh", "args": ["sh", "-c", making]}
    bundle.config["hooks"] = {"startContainer": [hook]}
    bundle.args(script(bundle, "#!/bin/late\n"))
    done = runtime.run(bundle)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    bundle.config["hooks"] = {"startContainer": [hook | {"args": ["sh", "-c", "true"]}]}
    (bundle.rootfs / "bin" / "late").unlink()
    done = runtime.run(bundle.write())
    assert done.returncode == 255
    assert "/bin/late" in done.stderr
