# SPDX-License-Identifier: Apache-2.0
"""What is done to the cgroup of a container that runs: other limits, and signals to all of it.

`create`, `start` and `delete` need none of it. This module must not know a hierarchy's files.
"""

from __future__ import annotations

from pyrunc.cgroups import tree
from pyrunc.errors import CgroupError, PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.cgroups.driver import Driver
    from pyrunc.spec.model_resources import Resources


def update(driver: Driver, resources: Resources, commit: Callable[[], None]) -> None:
    """Set limits that `driver.check` has seen: all of them, or none.

    Args:
        driver: the container's.
        resources: what is to change; what is absent stays as it is.
        commit: called when all are in force. If it fails they are taken back, too.

    Raises:
        CgroupError: the kernel refuses a value.
        PyruncError: it keeps another value than the one written, or `commit` raised this.
            The old values are in force again; the hint says so where one is not.
    """
    from pyrunc.cgroups import undo

    groups = driver.planned(resources)
    rows = [(driver._open(index), driver.directories[index], found) for index, found in groups]
    saved = undo.Saved(rows)
    back = None
    try:
        back = driver.announce(resources)
        for index, found in groups:
            driver.put(index, found)
        commit()
    except BaseException as error:
        problems = saved.restore()
        try:
            if back:
                back()
        except PyruncError as second:
            problems.append(str(second))
        if problems and isinstance(error, PyruncError):
            error.hint = "not put back: " + "; ".join(problems)
        raise


def signal(driver: Driver, number: int) -> None:
    """Send a signal to every process in the cgroup and below it.

    They are frozen meanwhile, or one could fork out of the list's reach; what was frozen stays
    so, and gets the signal when it is thawed.

    Args:
        driver: the container's.
        number: the signal; SIGKILL is for `driver.kill`.

    Raises:
        CgroupError: the kernel refuses.
    """
    from pyrunc.cgroups import signals

    paused = driver.frozen()
    try:
        if not paused:
            _try_to_freeze(driver)
        signals.send(driver.pids, number)
    except OSError as error:
        path = driver.directories[0]
        raise tree.failure("unable to signal", "", error, path) from error
    finally:
        if not paused:
            driver.thaw()


def _try_to_freeze(driver: Driver) -> None:
    """Somebody may thaw it at the same time, or a process in it not stop: then as they run."""
    try:
        driver.freeze()
    except CgroupError:
        raise
    except PyruncError:
        pass  # not in time; `freeze` has thawed what it had frozen
