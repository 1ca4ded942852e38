# SPDX-License-Identifier: Apache-2.0
"""Builds dist/pyrunc, the command as one static executable: `make static`.

docs/static.md explains how it works. Steps whose inputs have not changed are taken from
~/.cache/pyrunc-static (XDG_CACHE_HOME): sources and libraries, which take minutes. Run by the
virtual environment's Python, which has cffi.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TREE = HERE.parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyrunc-static"
WORK = TREE / "build" / "static"
# The Debian release of the sources.
RELEASE = "trixie"
PACKAGES = "python3.13 libseccomp"
# Of the components; NOTICE says the same.
LICENSES = {
    "pyrunc": "Apache-2.0", "cpython": "PSF-2.0", "libseccomp": "LGPL-2.1-only", "cffi": "MIT",
    "jeepney": "MIT", "musl": "MIT",
}  # fmt: skip
LIVES = 12
NO_LIFE = 3  # exit code of lives.py: no container could be made
KEPT = 3


def say(text: str) -> None:
    print(f"static: {text}", file=sys.stderr, flush=True)


def run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True)


def cached(name: str, inputs: list[Path | str], make: list[object]) -> Path:
    """A directory that a command makes, or has made from the same inputs before.

    Args:
        name: of the step.
        inputs: files, of which the content counts, and texts.
        make: the command; the directory follows as its last argument.
    """
    digest = hashlib.sha256()
    for one in inputs:
        digest.update(one.read_bytes() if isinstance(one, Path) else one.encode())
        digest.update(b"\0")
    found = CACHE / f"{name}-{digest.hexdigest()[:16]}"
    if not found.exists():
        say(f"{name}: being made")
        CACHE.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=CACHE))
        try:
            run(*make, work)
            work.chmod(0o755)
            if not found.exists():  # another build may have been as fast
                work.rename(found)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    os.utime(found)
    for old in sorted(CACHE.glob(f"{name}-*"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old)
    return found


def sources() -> Path:
    """Debian's source packages, and cffi's and jeepney from the Python package index."""
    fetch = HERE / "fetch.sh"
    wanted = [RELEASE, PACKAGES, metadata.version("cffi"), metadata.version("jeepney")]
    pip = Path(sys.executable).with_name("pip")
    return cached("sources", [fetch, *wanted], ["sh", fetch, pip, *wanted])


def libraries(source: Path, training: Path | None) -> Path:
    """CPython's archive and libseccomp's, by this machine's compiler and musl."""
    recipe = HERE / "libraries.sh"
    compiler = subprocess.run(["musl-gcc", "-v"], capture_output=True, text=True, check=True).stderr
    of = [*sorted(source.glob("*.dsc")), next(source.glob("cffi-*.tar.gz"))]
    inputs = [recipe, HERE / "Setup.local", *of, compiler, musl()]
    nice = ["nice", "-n", "5", "sh", recipe, source]
    if training:
        inputs += [HERE / "link.sh", *sorted((TREE / "csrc" / "image").glob("*.[ch]"))]
        return cached("trained", inputs, [*nice, training])
    return cached("libraries", inputs, nice)


def musl() -> str:
    """The version of musl here."""
    loader = next(Path("/lib").glob("ld-musl-*.so.1"))
    said = subprocess.run([loader], capture_output=True, text=True, check=False).stderr
    return said.partition("Version ")[2].split("\n")[0]


def version_of(source: Path, package: str) -> str:
    """Debian's version of a source package."""
    return next(source.glob(f"{package}*.dsc")).stem.partition("_")[2]


def components(source: Path) -> dict[str, tuple[str, str]]:
    """What goes into the executable: name -> (version, SHA-256 of its source or "")."""
    found = {"pyrunc": (metadata_version(), "")}
    for name, pattern in (
        ("cpython", "python3*.dsc"), ("libseccomp", "libseccomp*.dsc"),
        ("cffi", "cffi-*.tar.gz"), ("jeepney", "jeepney-*.whl"),
    ):  # fmt: skip
        file = next(source.glob(pattern))
        version = file.stem.partition("_")[2] if file.suffix == ".dsc" else metadata.version(name)
        found[name] = (version, hashlib.sha256(file.read_bytes()).hexdigest())
    return found | {"musl": (musl(), "")}


def metadata_version() -> str:
    """pyrunc's own, of this tree, which need not be installed."""
    sys.path.insert(0, str(TREE))
    import pyrunc

    return pyrunc.__version__


def write_sbom(source: Path, target: Path, executable: Path) -> None:
    """The list of what is inside, as SPDX 2.3 has it (ISO/IEC 5962)."""
    packages = []
    for name, (version, digest) in components(source).items():
        row: dict[str, object] = {
            "SPDXID": f"SPDXRef-{name}", "name": name, "versionInfo": version,
            "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
            "licenseDeclared": LICENSES[name], "licenseConcluded": "NOASSERTION",
            "copyrightText": "NOASSERTION",
        }  # fmt: skip
        if digest:
            row["checksums"] = [{"algorithm": "SHA256", "checksumValue": digest}]
        packages.append(row)
    digest = hashlib.sha256(executable.read_bytes()).hexdigest()
    packages[0] |= {"checksums": [{"algorithm": "SHA256", "checksumValue": digest}]}
    document = {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": "pyrunc", "documentNamespace": f"urn:sha256:{digest}",
        "creationInfo": {
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "creators": ["Tool: tools/static/build.py"],
        },
        "packages": packages,
        "documentDescribes": ["SPDXRef-pyrunc"],
        "relationships": [
            {"spdxElementId": "SPDXRef-pyrunc", "relationshipType": "CONTAINS",
             "relatedSpdxElement": row["SPDXID"]}
            for row in packages[1:]
        ],
    }  # fmt: skip
    target.write_text(json.dumps(document, indent=2) + "\n")


def generated(work: Path) -> Path:
    """cffi's C of the modules, by csrc/build_core.py, which is in no package."""
    sys.path.insert(0, str(TREE / "csrc"))
    os.chdir(TREE)
    import build_core

    work.mkdir()
    build_core.core_ffi.emit_c_code(str(work / "_core.c"))
    build_core.seccomp_ffi.emit_c_code(str(work / "_seccomp.c"))
    return work


def bundles(work: Path) -> None:
    """The bundles of lives.py: a program that sleeps, one that exits at once, and one that sleeps
    in a container as engines configure them."""
    busybox = shutil.which("busybox")
    if not busybox:
        raise SystemExit("static: busybox-static is not installed")
    sleep = ["/bin/sleep", "100"]
    for name, program in (("sleeps", sleep), ("ends", ["/bin/true"]), ("engine", sleep)):
        bin_directory = work / name / "rootfs" / "bin"
        bin_directory.mkdir(parents=True)
        shutil.copy(busybox, bin_directory / "busybox")
        for applet in ("sleep", "true"):
            (bin_directory / applet).symlink_to("busybox")
        run(Path(sys.executable).with_name("pyrunc"), "spec", "-b", work / name)
        file = work / name / "config.json"
        config = json.loads(file.read_text())
        config["process"] |= {"terminal": False, "args": program}
        if name == "engine":
            as_engines(config, work)
        file.write_text(json.dumps(config))


def as_engines(config: dict[str, Any], work: Path) -> None:
    """A filter that allows by name and argument, volumes, device rules, variables."""
    from pyrunc.kernel import seccomp

    names = [name for name in seccomp.known() if name not in ("personality", "bpf", "clone")]
    masked = [{"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ"}]
    exact = [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "syscalls": [
            {"names": names, "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": masked},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": exact},
            {"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        ],
    }  # fmt: skip
    null = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}
    config["linux"]["resources"]["devices"] += [null, {**null, "allow": False, "minor": 1}]
    config["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "0"}
    config["process"]["env"] += ["HOSTNAME=engine", "HOME=/"]
    config["process"]["user"]["additionalGids"] = [0, 10]
    for number, how in enumerate((["rbind", "rprivate"], ["rbind", "ro", "nosuid"], ["bind"])):
        volume = work / f"volume{number}"
        volume.mkdir()
        config["mounts"].append(
            {"destination": f"/volume{number}", "type": "bind", "source": str(volume),
             "options": how}
        )  # fmt: skip


def prepare(source: Path, library: Path) -> None:
    """Put the seed into WORK, and all that lives.py needs next to it."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    standard = str(library / "lib")
    with zipfile.ZipFile(next(source.glob("jeepney-*.whl"))) as wheel:
        wheel.extractall(WORK / "packages")
    run("sh", HERE / "link.sh", library, generated(WORK / "generated"), WORK / "seed")
    run(WORK / "seed", standard, HERE / "modules.py", TREE, WORK / "packages", WORK / "modules")
    bundles(WORK)
    shutil.copy(TREE / "pyrunc" / "pyrunc-init", WORK)
    (WORK / "library").write_text(standard)
    upstream = version_of(source, "libseccomp").rpartition("-")[0]
    (WORK / "versions").write_text(f"libseccomp: {upstream}\nmusl: {musl()}\n")


def write_image(library: Path, lives: int) -> None:
    """Have the seed write WORK/pyrunc, without lives where no container can be made here."""
    command = [WORK / "seed", library / "lib", HERE / "lives.py"]
    done = subprocess.run([*command, str(lives)], check=False, cwd=WORK)
    if done.returncode == NO_LIFE:
        lives = 0
        done = subprocess.run([*command, "0"], check=False, cwd=WORK)
    done.check_returncode()
    if not lives:
        say("without lives: the executable works, and is a quarter slower")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=TREE / "dist" / "pyrunc")
    parser.add_argument("--lives", type=int, default=LIVES if os.geteuid() == 0 else 0)
    parser.add_argument("--fetch", action="store_true", help="only download the sources")
    parser.add_argument("--pgo", action="store_true", help="profile-guided CPython, by the lives")
    options = parser.parse_args()
    if options.fetch:
        try:
            sources()
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"static: the sources could not be downloaded: {error}") from None
        return
    source = sources()
    library = libraries(source, None)
    prepare(source, library)
    if options.pgo and options.lives:
        try:
            library = libraries(source, WORK)
            prepare(source, library)
        except subprocess.CalledProcessError as error:
            if error.returncode != NO_LIFE:
                raise
            say("no container can be made here: compiled without PGO")
    write_image(library, options.lives)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    # Renamed into place: the one before may be running.
    (WORK / "pyrunc").rename(options.output)
    write_sbom(source, options.output.with_name("pyrunc.spdx.json"), options.output)
    say(f"{options.output}: {options.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
