# SPDX-License-Identifier: Apache-2.0
"""What Python means, for test_static_interpreter.py, which has it run in an image."""

import os
import signal
import sys
import time


def kinds():
    """Attributes and operators, of one kind after the other."""

    class Plain:
        x = 1

    class Slot:
        __slots__ = ("x",)

    class Asked:
        def __getattr__(self, name):
            return name

    def read():
        return [one.x for one in (Plain(), slot, Asked())]

    def add(a, b):
        return a + b

    slot = Slot()
    slot.x = 2
    for _ in range(200):
        assert read() == [1, 2, "x"]
        assert (add(1, 2), add("a", "b"), add(1.5, 2), add([1], [2])) == (3, "ab", 3.5, [1, 2])
    Plain.x = property(lambda self: 5)
    assert read() == [5, 2, "x"]
    del Plain.x
    assert fails(read, AttributeError)
    # More types than the cache of attributes has entries.
    types = [type("T", (), {"m": lambda self, n=n: n}) for n in range(3000)]
    for _ in range(2):
        assert [one().m() for one in types] == [*range(3000)]
    types[7].m = lambda self: "new"
    assert [one().m() for one in types[6:9]] == [6, "new", 8]


def names():
    """Of a module and of the builtins, which change."""
    space = {}
    exec("def f(): return [v, len('ab')]\nv = 0", space)
    for n in range(200):
        space["v"] = n
        assert space["f"]() == [n, 2]
    space["len"] = lambda text: 77
    assert space["f"]() == [199, 77]
    del space["len"], space["v"]
    assert fails(space["f"], NameError)


def generators():
    """Frames that rest."""
    ends = []

    def count(n):
        try:
            for i in range(n):
                if (yield i):
                    yield -i
        finally:
            ends.append(n)

    def outer():
        return (yield from count(3))

    async def value(n):
        return n

    async def total():
        return sum([await value(n) for n in range(1000)])

    assert sum(count(10_000)) == 49_995_000
    assert [*outer()] == [0, 1, 2]
    one = count(5)
    assert (next(one), next(one), one.send(True)) == (0, 1, -1)
    one.close()
    assert ends == [10_000, 3, 5]
    try:
        total().send(None)
    except StopIteration as end:
        assert end.value == 499_500


def errors():
    """Exceptions, also of too deep a recursion, of Python's and of C's."""
    ends = 0
    for n in range(5000):
        try:
            try:
                raise KeyError(n)
            finally:
                ends += 1
        except KeyError as error:
            assert error.args == (n,)
    assert ends == 5000

    def down(n):
        return n and 1 + down(n - 1)

    for _ in range(3):
        assert fails(lambda: down(100_000), RecursionError)
        assert down(900) == 900
    nested = []
    for _ in range(100_000):
        nested = [nested]
    assert fails(lambda: repr(nested), RecursionError)


def signals():
    """Handlers run where a function begins or a loop goes back."""
    came = []

    class Enough(Exception):
        pass

    def enough(*_):
        raise Enough

    def turn():
        return len(came) < 6

    signal.signal(signal.SIGALRM, lambda *_: came.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    while len(came) < 3:
        pass
    while turn():
        pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, enough)
    for wait in (lambda: time.sleep(30), lambda: [None for _ in iter(int, 1)]):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert fails(wait, Enough)


def tracing():
    """Instructions for it are written into the code, whoever has run that before."""
    seen = []

    def loop():
        found = 0
        for n in range(3):
            found += n
        return found

    def trace(frame, event, argument):
        seen.append(event)
        return trace

    for _ in range(2):
        assert loop() == 3
        sys.settrace(trace)
        assert loop() == 3
        sys.settrace(None)
        assert (seen.count("call"), seen.count("return")) == (1, 1)
        assert seen.count("line") > 7
        seen.clear()


def memory():
    """Of all sizes, and more than there is."""
    for size in (*range(600), 2047, 2048, 2049, 4096, 4097, 1 << 20, 20 << 20):
        data = bytes(size) + b"x"
        assert bytes(bytearray(data)) == data
        assert len(data[:-1]) == size
    rows = {n: str(n) for n in range(200_000)}
    assert rows[199_999] == "199999"
    assert fails(lambda: bytearray(1 << 46), MemoryError)
    assert fails(lambda: [None] * (1 << 40), MemoryError)


def a_test():
    """That an assertion is one here: CPython's -OO would leave it out."""
    assert not fails


CASES = {case.__name__: case for case in
         (kinds, names, generators, errors, signals, tracing, memory, a_test)}  # fmt: skip


def fails(work, error):
    """Whether it raises that."""
    try:
        work()
    except error:
        return True
    return False


def entry():
    """The image's."""
    CASES[sys.argv[1]]()
    os._exit(0)
