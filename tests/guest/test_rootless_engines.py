# SPDX-License-Identifier: Apache-2.0
"""Engines of an ordinary user with a systemd session of his own: what they do with pyrunc is what
they do with crun (dockerd: with runc).

Three of these run with the other tests of the guest; all of them, a quarter of an hour, with
PYRUNC_TEST_ENGINES=1 (make test-engines).
"""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from tests.guest.engines import IMAGE, busybox_tree, command
from tests.lib import support

USER = "tester"
HOME = Path("/home") / USER
RUN = "/run/user/1000"
PYRUNC = support.PYRUNC
everything = pytest.mark.skipif(
    not os.environ.get("PYRUNC_TEST_ENGINES"), reason="takes long: make test-engines"
)
MANAGERS = ("systemd", "cgroupfs")


def as_user(script: str, *properties: str, **environment: str) -> str:
    """What a shell script of the user prints, in a service of his own systemd."""
    words = ["systemd-run", "--user", f"--machine={USER}@.host", "--wait", "--pipe", "--quiet"]
    words += [f"--property={one}" for one in ("Delegate=yes", *properties)]
    words += [f"--setenv={name}={value}" for name, value in environment.items()]
    done = subprocess.run(
        [*words, "sh", "-euc", script], capture_output=True, text=True, check=False,
        timeout=120 * support.SLOW, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """The user's session, and an image in his storage."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        pytest.skip(f"needs the guest's user {USER}")
    command("loginctl", "enable-linger", USER)
    tree = busybox_tree(tmp_path_factory.mktemp("image") / "rootfs")
    packed = Path("/var/tmp/pyrunc-rootless.tar")
    subprocess.run(["tar", "-c", "-f", packed, "-C", tree, "."], check=True)
    packed.chmod(0o644)
    as_user(f"podman import --quiet {packed} localhost/{IMAGE}")
    yield packed
    packed.unlink()


def both(script: str, manager: str = "systemd", *properties: str) -> str:
    """What the script prints with pyrunc, which is what it prints with crun.

    In it `podman` has a runtime and a cgroup manager, and $image is there.
    """
    said = {}
    for runtime in ("crun", PYRUNC):
        head = (
            f'podman() {{ command podman --runtime {runtime} --cgroup-manager {manager} "$@"; }}\n'
            f"image=localhost/{IMAGE}\n"
        )
        said[runtime] = as_user(head + script, *properties)
    assert said[PYRUNC] == said["crun"]
    return said[PYRUNC]


# --- podman: these always ---------------------------------------------------------------------

LIMITED = """
podman run --rm --memory 64m --cpus 0.5 --pids-limit 20 $image sh -c '
    cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max /sys/fs/cgroup/pids.max
    ( i=0; while [ $i -lt 30 ]; do sleep 100 & i=$((i+1)); done ) 2>/dev/null || echo full'
"""


def test_a_run_with_limits(user):
    """podman's device rules come along: a filter cannot be loaded, and need not be."""
    assert both(LIMITED).splitlines()[:4] == ["67108864", "50000 100000", "20", "full"]


def test_the_hosts_processes(user):
    said = both("podman run --rm --pid=host $image sh -c 'ls -d /proc/1; echo in'")
    assert said == "/proc/1\nin\n"


LIFE = """
podman run -d --name life --stop-signal KILL $image sh -c 'echo out; exec sleep 1000' >/dev/null
podman exec life sh -c 'echo exec; id -u'
podman exec life sh -c 'exit 7' || echo $?
podman logs life
podman stats --no-stream --format '{{.Name}} {{.PIDs}}' life
podman pause life
podman ps -a --format '{{.Names}} {{.State}}'
podman unpause life
podman restart -t 1 life
podman exec life echo again
podman stop -t 1 life
podman ps -a --format '{{.Names}} {{.State}} {{.ExitCode}}'
podman rm life
podman ps -aq
"""


def test_a_life(user):
    said = both(LIFE)
    assert "exec\n0\n7\nout\nlife 1\nlife\nlife paused\nlife\nlife\nagain\nlife\n" in said
    assert said.endswith("life exited 137\nlife\n")


# --- and these when asked for -----------------------------------------------------------------


@everything
def test_a_life_without_systemd(user):
    both(LIFE, "cgroupfs")


@everything
def test_limits_without_systemd(user):
    both(LIMITED, "cgroupfs")


@everything
@pytest.mark.parametrize("manager", MANAGERS)
def test_too_much_memory(user, manager):
    hog = "podman run --rm --memory 32m --memory-swap 32m $image awk '%s' || echo $?"
    said = both(hog % 'BEGIN { s = "x"; while (1) s = s s }', manager)
    assert said == "137\n"


@everything
def test_the_users_own_ids_and_groups(user):
    # A service of the system in the user's session: his own manager has no other groups to give.
    script = """
    podman run --rm --userns=keep-id --group-add keep-groups $image sh -c 'id -u; id -G | wc -w'
    podman run -d --name kept --userns=keep-id --group-add keep-groups $image sleep 1000 >/dev/null
    podman exec kept sh -c 'id -u; id -G | wc -w'
    podman rm -ft 0 kept
    """
    said = {}
    for runtime in ("crun", PYRUNC):
        head = f'podman() {{ command podman --runtime {runtime} "$@"; }}; image=localhost/{IMAGE}\n'
        said[runtime] = command(
            "systemd-run", "--wait", "--pipe", "--quiet", f"--property=User={USER}",
            "--property=PAMName=login", "--property=SupplementaryGroups=audio video",
            "sh", "-euc", head + script,
        )  # fmt: skip
    assert said[PYRUNC] == said["crun"]
    assert said[PYRUNC] == "1000\n3\n1000\n3\nkept\n"


@everything
def test_a_pod(user):
    said = both(
        """
    podman pod create --name pod --hostname together >/dev/null
    podman run -d --pod pod --name first $image sleep 1000 >/dev/null
    podman run --rm --pod pod $image sh -c 'hostname; set -- /proc/[0-9]*; echo $#'
    podman pod pause pod >/dev/null
    podman pod ps --format '{{.Name}} {{.Status}}'
    podman pod unpause pod >/dev/null
    podman pod kill pod >/dev/null
    podman pod rm -f pod >/dev/null
    podman ps -aq
    """
    )
    assert said.startswith("together\n")
    assert "pod Paused\n" in said


QUADLET = """
[Container]
Image=localhost/{image}
ContainerName=quadlet
GlobalArgs=--runtime={runtime}
Exec=sh -c "echo started; exec sleep 1000"
PodmanArgs=--memory=64m --stop-signal=KILL
[Service]
TimeoutStartSec=900
"""


@everything
@pytest.mark.parametrize("runtime", ["crun", PYRUNC])
def test_a_quadlet_unit(user, runtime):
    place = HOME / ".config/containers/systemd"
    unit = QUADLET.format(image=IMAGE, runtime=runtime).replace("'", "'\\''")
    # podman-user-wait-network-online.service waits a minute and a half for it.
    command("systemctl", "start", "network-online.target")
    try:
        said = as_user(
            f"""
            mkdir -p {place}
            printf '%s' '{unit}' > {place}/boxed.container
            systemctl --user daemon-reload
            systemctl --user start boxed.service
            systemctl --user is-active boxed.service
            podman exec quadlet cat /sys/fs/cgroup/memory.max
            podman inspect --format '{{{{.OCIRuntime}}}}' quadlet
            systemctl --user stop boxed.service
            systemctl --user show -P ActiveState boxed.service
            podman ps -aq
            """
        )
    finally:
        as_user(f"rm -f {place}/boxed.container; systemctl --user daemon-reload")
    assert said.splitlines()[:3] == ["active", "67108864", runtime]
    assert said.splitlines()[3] in ("inactive", "failed")  # a killed one is the unit's failure


# --- dockerd ----------------------------------------------------------------------------------

DAEMON = f"""
mkdir -p $HOME/bin-$name && ln -sf $program $HOME/bin-$name/runc
PATH=$HOME/bin-$name:/usr/bin:/usr/sbin:/bin:/sbin
export PATH DOCKERD_ROOTLESS_ROOTLESSKIT_NET=slirp4netns DOCKER_HOST=unix://{RUN}/docker.sock
export DOCKER_BUILDKIT=1 XDG_RUNTIME_DIR={RUN}
sh /usr/share/docker.io/contrib/dockerd-rootless.sh --iptables=false --ip6tables=false \\
    --storage-driver overlay2 --exec-opt native.cgroupdriver=$manager \\
    --data-root $HOME/docker-$name --add-runtime tried=$program --default-runtime tried \\
    >$HOME/docker-$name.log 2>&1 &
daemon=$!
trap 'kill $daemon; wait $daemon || :; rm -rf $HOME/bin-$name' EXIT
i=0
until docker version >/dev/null 2>&1; do
    i=$((i+1)); [ $i -lt 150 ] || {{ tail -20 $HOME/docker-$name.log; exit 1; }}
    sleep 2
done
docker import - {IMAGE} < $packed >/dev/null
"""
DOCKED = f"""
docker run --rm --network none --memory 64m --pids-limit 20 {IMAGE} \\
    cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max
docker run -d --network none --name life --stop-signal KILL {IMAGE} sleep 1000 >/dev/null
docker exec life sh -c 'echo exec; exit 3' || echo $?
docker pause life; docker unpause life
docker stop -t 1 life; docker rm life
mkdir -p $HOME/context-$name
printf 'FROM {IMAGE}\\nRUN --network=none echo built > /file\\n' >$HOME/context-$name/Dockerfile
docker build --quiet --network none -t built $HOME/context-$name >/dev/null
docker run --rm --network none built cat /file
"""


@everything
@pytest.mark.parametrize("manager", ["systemd", "cgroupfs"])
def test_dockerd_runs_and_builds(user, manager):
    said = {}
    for name, program in (("runc", "/usr/sbin/runc"), ("pyrunc", PYRUNC)):
        head = f"name={name}; program={program}; manager={manager}; packed={user}\n"
        said[name] = as_user(head + DAEMON + DOCKED)
    assert said["pyrunc"] == said["runc"]
    # Rootless dockerd sets limits by way of systemd only.
    limits = ["67108864", "20"] if manager == "systemd" else ["max", "max"]
    assert said["pyrunc"].splitlines()[:2] == limits
    assert said["pyrunc"].endswith("life\nlife\nlife\nlife\nbuilt\n")
