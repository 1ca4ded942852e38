# SPDX-License-Identifier: Apache-2.0
"""The wire format: what Python writes, the C decoder of pyrunc-init reads; the rest it refuses."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from struct import pack, unpack_from
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyrunc.plan import steps as s
from pyrunc.plan import wire
from pyrunc.plan.encode import encode
from pyrunc.plan.steps import Step
from tests.unit import plan_decoder, plan_specs
from tests.unit.plan_decoder import Answer, ask

REGISTERS = 20
SIZES = (0, 1, 7, 8, 9, 255, 256, 65535, 65536)
MUTATIONS = 12_000


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plan")


@pytest.fixture(scope="session")
def decoder(scratch: Path) -> Path:
    if not plan_decoder.compiler():
        pytest.skip("needs a C compiler")
    return plan_decoder.build(scratch / "plan_dump")


@pytest.fixture(scope="session")
def sanitized(scratch: Path) -> Path:
    if not plan_decoder.compiler():
        pytest.skip("needs a C compiler")
    if reason := plan_decoder.why_not_sanitized(scratch):
        pytest.skip(reason)
    return plan_decoder.build(scratch / "plan_dump_sanitized", *plan_decoder.SANITIZE)


def encoded(*steps: Step, registers: int = REGISTERS) -> bytes:
    return encode(steps, registers=registers, first_fd=3, passed_fds=8)


def read_back(decoder: Path, scratch: Path, steps: list[Step]) -> None:
    (answer,) = ask(decoder, [encoded(*steps)], scratch / "one")
    lists = [step.__dict__[n] for step in steps for n, kind in step.FIELDS if kind == wire.STRINGS]
    strings = sum(len(items) + 1 for items in lists)
    assert answer.header == (len(steps), REGISTERS, 3, 8, strings)
    assert list(answer.steps) == [plan_decoder.expected(step) for step in steps]


# --- what is written is read -----------------------------------------------------------------

# surrogateescape is how a path that is not UTF-8 looks in Python.
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.binary(
    max_size=20
).map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    wire.NUMBER: st.integers(-(2**63), 2**64 - 1) | st.booleans(),
    wire.REGISTER: st.integers(0, REGISTERS - 1),
    wire.STRING: text,
    wire.OPTIONAL: st.none() | text,
    wire.STRINGS: st.lists(text, max_size=6).map(tuple),
    wire.BYTES: st.binary(max_size=40),
}
any_step = st.sampled_from(s.ALL).flatmap(
    lambda step: st.builds(step, **{name: VALUES[kind] for name, kind in step.FIELDS})
)
quick = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@quick
@given(st.lists(any_step, max_size=30))
def test_any_list_of_steps_is_read_as_it_was_written(
    decoder: Path, scratch: Path, steps: list[Step]
) -> None:
    read_back(decoder, scratch, steps)


@quick
@given(plan_specs.random_cases())
def test_the_plan_of_any_document_is_read_as_it_was_written(
    decoder: Path, scratch: Path, case: plan_specs.Case
) -> None:
    plan = case.plan()
    (answer,) = ask(decoder, [case.bytes()], scratch / "one")
    assert answer.header[1:4] == (plan.registers, 3 + case.preserved, plan.passed)
    assert list(answer.steps) == [plan_decoder.expected(step) for step in plan.steps]


def filler(step: type[Step], **given: Any) -> Step:
    """A step with every argument but the given ones at its smallest."""
    empty = {wire.NUMBER: 0, wire.REGISTER: 0, wire.STRING: "", wire.OPTIONAL: None}
    empty |= {wire.STRINGS: (), wire.BYTES: b""}
    return step(**({name: empty[kind] for name, kind in step.FIELDS} | given))


def test_every_step_with_every_argument_empty(decoder: Path, scratch: Path) -> None:
    read_back(decoder, scratch, [filler(step) for step in s.ALL])


@pytest.mark.parametrize("size", SIZES)
def test_strings_and_blobs_of_boundary_sizes(decoder: Path, scratch: Path, size: int) -> None:
    steps: list[Step] = []
    for step in s.ALL:
        for name, kind in step.FIELDS:
            value: Any = {wire.STRINGS: ("x" * size, "", "y" * size), wire.BYTES: b"\0" * size}.get(
                kind
            )
            if kind in (wire.STRING, wire.OPTIONAL):
                value = "z" * size
            if value is not None:
                steps.append(filler(step, **{name: value}))
    assert len(steps) > 20
    read_back(decoder, scratch, steps)


def test_long_lists_and_unicode(decoder: Path, scratch: Path) -> None:
    options = tuple(f"option{i}=\u00e9\U0001f600{i}" for i in range(340))
    read_back(decoder, scratch, [filler(s.MakeFilesystem, options=options, mode_of="")])
    read_back(decoder, scratch, [filler(s.FindProgram, args=("",) * 1000, path="\udcff\udc80")])


def test_ten_thousand_mounts(decoder: Path, scratch: Path) -> None:
    config = plan_specs.config()
    config["mounts"] = [
        {"destination": f"/m{i}", "source": f"/@host/{i}", "options": ["rbind", "ro", "rslave"]}
        for i in range(10_000)
    ]
    case = plan_specs.Case(config)
    steps = case.plan().steps
    assert 40_000 < len(steps) <= wire.MAX_STEPS
    (answer,) = ask(decoder, [case.bytes()], scratch / "one")
    assert list(answer.steps) == [plan_decoder.expected(step) for step in steps]


def test_as_many_steps_as_there_may_be_and_one_more(decoder: Path, scratch: Path) -> None:
    most = [s.Umask(mask=i) for i in range(wire.MAX_STEPS)]
    (answer,) = ask(decoder, [encoded(*most)], scratch / "one")
    assert len(answer.steps) == wire.MAX_STEPS
    with pytest.raises(ValueError, match="too large"):
        encoded(*most, s.Fork())
    # The decoder has the same limit, whoever wrote the plan.
    body = b"".join(plan_decoder.records(encoded(*most))) + pack("=II", s.Fork.OPCODE, 8)
    assert not verdict(decoder, scratch, joined([Record(body)], steps=wire.MAX_STEPS + 1))


def test_as_many_bytes_and_registers_as_there_may_be(decoder: Path, scratch: Path) -> None:
    room = wire.MAX_BYTES - wire.HEADER_BYTES - s.Hostname.SIZE
    full = encoded(s.Hostname(name="x" * (room - 1)), registers=wire.MAX_REGISTERS)
    assert len(full) == wire.MAX_BYTES
    (answer,) = ask(decoder, [full], scratch / "one", "walk")
    assert answer.accepted
    for steps, registers in (([s.Hostname(name="x" * room)], 8), ([], wire.MAX_REGISTERS + 1)):
        with pytest.raises(ValueError, match="too large"):
            encoded(*steps, registers=registers)


def test_a_nul_inside_a_string_is_not_written() -> None:
    for step in (s.Hostname(name="a\0b"), filler(s.FindProgram, args=("ok", "a\0"))):
        with pytest.raises(ValueError, match="NUL"):
            encoded(step)


# --- what is wrong is refused ----------------------------------------------------------------


class Record(NamedTuple):
    """A record by hand, and its texts, which come after all records."""

    data: bytes
    texts: bytes = b""


def joined(parts: list[Record], **header: int) -> bytes:
    """A plan made of records, with a header that fits them, but for what is given."""
    texts = b"".join(part.texts for part in parts)
    body = b"".join(part.data for part in parts) + texts
    fields = {
        "magic": wire.MAGIC,
        "version": wire.VERSION,
        "total": wire.HEADER_BYTES + len(body),
        "steps": len(parts),
        "registers": REGISTERS,
        "first_fd": 3,
        "passed_fds": 8,
        "strings": 0,
        "texts": len(texts),
    } | header
    return pack("=IIQIIIIII", *fields.values()) + body


def record(
    step: type[Step], slots: list[Any], texts: bytes = b"", size: int | None = None
) -> Record:
    """A record by hand; a slot is a number or (offset, length)."""
    made = b"".join(pack("=Q", x) if isinstance(x, int) else pack("=II", *x) for x in slots)
    whole = wire.RECORD_BYTES + len(made) if size is None else size
    return Record(pack("=II", step.OPCODE, whole) + made, texts)


def verdict(decoder: Path, scratch: Path, plan: bytes) -> bool:
    (answer,) = ask(decoder, [plan], scratch / "one", "walk")
    return answer.accepted


NAME = b"name\0\0\0\0"
AT = 16  # where the texts behind a single step with one argument begin
TWO = b"ab\0cd\0\0\0"


def good() -> list[bytes]:
    """By hand, the same shapes that are broken below: all of them are accepted."""
    return [
        joined([]),
        joined([record(s.Fork, [])]),
        joined([record(s.Hostname, [(AT, 5)], NAME)]),
        joined([record(s.Hostname, [(AT + 1, 4)], NAME)]),
        joined([record(s.Hostname, [(AT + 8, 5)], NAME), record(s.Fork, [])]),
        joined(
            [record(s.MakeFilesystem, [0, (56, 2), (0, 0), (56, 0), 0, (0, 0)], TMP)], strings=1
        ),
        joined([record(s.OpenProcfs, [REGISTERS - 1, (0, 0)])]),
        joined([record(s.Environment, [(32, 6), (0, 0), 0], TWO)], strings=3),
        joined([record(s.Environment, [(32, 0), (0, 0), 0])], strings=1),
        joined([record(s.Seccomp, [(32, 3), 0, 0], NAME)]),
        joined([record(s.Seccomp, [(32, 0), 0, 0])]),
        joined([], first_fd=wire.MAX_STEPS - 1),
        joined([], passed_fds=REGISTERS),
    ]


TMP = b"t" + bytes(7)
HUGE = 0xFFFFFFFF
WRONG: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no string where one is needed": lambda: joined([record(s.Hostname, [(0, 0)])]),
    "one byte": lambda: b"P",
    "a header cut short": lambda: joined([])[:-1],
    "bad magic": lambda: joined([], magic=wire.MAGIC ^ 1),
    "other byte order": lambda: joined([], magic=int.from_bytes(b"NRYP", "little")),
    "version 0": lambda: joined([], version=0),
    "the next version": lambda: joined([], version=wire.VERSION + 1),
    "texts that are not there": lambda: joined([], texts=1),
    "texts without end": lambda: joined([record(s.Fork, [])], texts=HUGE),
    "records as texts": lambda: joined([record(s.Fork, [])], texts=8),
    "texts as a record": lambda: joined([record(s.Hostname, [(AT, 5)], NAME)], texts=0),
    "total too small": lambda: joined([], total=wire.HEADER_BYTES - 8),
    "total too large": lambda: joined([], total=wire.HEADER_BYTES + 8),
    "total of 2^63": lambda: joined([], total=1 << 63),
    "trailing bytes": lambda: joined([record(s.Fork, [])]) + bytes(8),
    "trailing bytes in the total": lambda: joined([record(s.Fork, []), Record(bytes(8))], steps=1),
    "a step more than there are": lambda: joined([record(s.Fork, [])], steps=2),
    "a step less than there are": lambda: joined([record(s.Fork, [])] * 2, steps=1),
    "2^32-1 steps": lambda: joined([], steps=HUGE),
    "too many registers": lambda: joined([], registers=wire.MAX_REGISTERS + 1),
    "more passed than registers": lambda: joined([], passed_fds=REGISTERS + 1),
    "first_fd is stdio": lambda: joined([], first_fd=2),
    "first_fd out of range": lambda: joined([], first_fd=wire.MAX_STEPS),
    "op 0": lambda: joined([Record(pack("=II", 0, 8))]),
    "unknown op": lambda: joined([Record(pack("=II", len(s.ALL) + 1, 8))]),
    "op 2^32-1": lambda: joined([Record(pack("=II", HUGE, 8))]),
    "step size 0": lambda: joined([record(s.Fork, [], size=0)]),
    "step size below its head": lambda: joined([record(s.Fork, [], size=4)]),
    "step size not of 8": lambda: joined([Record(pack("=III", s.Fork.OPCODE, 12, 0))]),
    "larger than its arguments": lambda: joined([Record(pack("=IIQ", s.Fork.OPCODE, 16, 0))]),
    "step size beyond the plan": lambda: joined([record(s.Fork, [], size=16)]),
    "step size 2^32-8": lambda: joined([record(s.Fork, [], size=HUGE - 7)]),
    "too small for its arguments": lambda: joined([record(s.Umask, [])]),
    "cut inside its arguments": lambda: joined([record(s.MakeNode, [(AT, 5)], NAME)]),
    "register out of range": lambda: joined([record(s.OpenProcfs, [REGISTERS, (0, 0)])]),
    "register 2^64-1": lambda: joined([record(s.OpenProcfs, [2**64 - 1, (0, 0)])]),
    "register with a high half": lambda: joined([record(s.OpenProcfs, [1 << 32, (0, 0)])]),
    "offset inside the arguments": lambda: joined([record(s.Hostname, [(8, 5)], NAME)]),
    "a blob's offset not of 8": lambda: joined([record(s.Seccomp, [(33, 1), 0, 0], NAME)]),
    "offset inside the next record": lambda: joined(
        [record(s.Hostname, [(AT, 5)], NAME), record(s.Fork, [])]
    ),
    "offset beyond the texts": lambda: joined([record(s.Hostname, [(AT + 16, 1)], NAME)]),
    "offset at the end": lambda: joined([record(s.Hostname, [(AT + 8, 1)], NAME)]),
    "offset 2^32-8": lambda: joined([record(s.Hostname, [(HUGE - 7, 16)], NAME)]),
    "length beyond the texts": lambda: joined([record(s.Hostname, [(AT, 9)], NAME)]),
    "length 2^32-1": lambda: joined([record(s.Hostname, [(AT, HUGE)], NAME)]),
    "length without offset": lambda: joined([record(s.Hostname, [(0, 5)], NAME)]),
    "missing NUL": lambda: joined([record(s.Hostname, [(AT, 4)], NAME)]),
    "missing NUL to the end": lambda: joined([record(s.Hostname, [(AT, 8)], b"x" * 8)]),
    "inner NUL": lambda: joined([record(s.Hostname, [(AT, 6)], TWO)]),
    "string of length 0": lambda: joined([record(s.Hostname, [(AT, 0)], NAME)]),
    "list without its last NUL": lambda: joined(
        [record(s.Environment, [(32, 5), (0, 0), 0], TWO)], strings=2
    ),
    "list that is absent": lambda: joined([record(s.Environment, [(0, 0), (0, 0), 0])], strings=1),
    "blob that is absent": lambda: joined([record(s.Seccomp, [(0, 0), 0, 0])]),
    "blob beyond the texts": lambda: joined([record(s.Seccomp, [(32, 9), 0, 0], NAME)]),
    "one string too few": lambda: joined(
        [record(s.Environment, [(32, 6), (0, 0), 0], TWO)], strings=2
    ),
    "one string too many": lambda: joined(
        [record(s.Environment, [(32, 6), (0, 0), 0], TWO)], strings=4
    ),
    "strings without a list": lambda: joined([], strings=1),
}


def test_plans_made_by_hand_are_accepted(sanitized: Path, scratch: Path) -> None:
    answers = ask(sanitized, good(), scratch / "good", "walk")
    assert [answer.accepted for answer in answers] == [True] * len(good())


@pytest.mark.parametrize("what", WRONG)
def test_refused(sanitized: Path, scratch: Path, what: str) -> None:
    assert not verdict(sanitized, scratch, WRONG[what]())


def test_every_cut_of_a_plan_is_refused(sanitized: Path, scratch: Path) -> None:
    whole = plan_specs.cases()["filter-before-privileges"].bytes()
    answers = ask(sanitized, [whole[:n] for n in range(len(whole))], scratch / "cuts", "walk")
    assert not [n for n, answer in enumerate(answers) if answer.accepted]
    # And with a total that matches the cut, so that the records themselves have to be looked at.
    cuts = [whole[:8] + pack("=Q", n) + whole[16:n] for n in range(wire.HEADER_BYTES, len(whole))]
    answers = ask(sanitized, cuts, scratch / "cuts", "walk")
    assert len(answers) > 3000
    assert not [n for n, answer in enumerate(answers) if answer.accepted]


# --- mutated plans ---------------------------------------------------------------------------


@cache
def originals() -> tuple[bytes, ...]:
    cases = [case.bytes() for case in plan_specs.cases().values()]
    return (*cases, *good(), encoded(*(filler(step) for step in s.ALL)))


def words(plan: bytes) -> list[int]:
    """Where the 32-bit fields lie that steer the decoder: the header's and the records'."""
    found = list(range(0, wire.HEADER_BYTES, 4))
    at = wire.HEADER_BYTES
    for part in plan_decoder.records(plan):
        (op,) = unpack_from("=I", part)
        found += range(at, at + 8 + 8 * len(s.ALL[op - 1].FIELDS), 4)
        at += len(part)
    return found


def flip_bit(rng: random.Random, plan: bytearray) -> None:
    plan[rng.randrange(len(plan))] ^= 1 << rng.randrange(8)


def change_field(rng: random.Random, plan: bytearray) -> None:
    at = rng.choice(words(bytes(plan)))
    (old,) = unpack_from("=I", plan, at)
    near = old + rng.choice((-16, -8, -4, -1, 1, 4, 8, 16))
    value = rng.choice(
        (near, near, 0, 1, 7, 8, 16, 0x7FFFFFFF, 0x80000000, HUGE, HUGE - 7, len(plan))
    )
    plan[at : at + 4] = pack("=I", value & HUGE)


def truncate(rng: random.Random, plan: bytearray) -> None:
    del plan[rng.randrange(len(plan)) :]
    plan[8:16] = pack("=Q", len(plan)) if len(plan) >= 16 else plan[8:16]


def swap_records(rng: random.Random, plan: bytearray) -> None:
    """Their spans then lead to other places among the texts, or out of them."""
    parts = plan_decoder.records(bytes(plan))
    if parts:
        i, j = rng.randrange(len(parts)), rng.randrange(len(parts))
        parts[i], parts[j] = parts[j], parts[i]
        body = b"".join(parts)
        plan[wire.HEADER_BYTES : wire.HEADER_BYTES + len(body)] = body


def splice(rng: random.Random, plan: bytearray) -> None:
    other = rng.choice(originals())
    at, length = rng.randrange(len(plan)), 8 * rng.randrange(1, 9)
    start = rng.randrange(len(other))
    plan[at : at + length] = other[start : start + length]


def fill(rng: random.Random, plan: bytearray) -> None:
    at, length = rng.randrange(len(plan)), rng.randrange(1, 64)
    plan[at : at + length] = bytes([rng.choice((0, 1, 0x7F, 0xFF))]) * len(plan[at : at + length])


MUTATORS = {
    "fields": change_field,
    "bits": flip_bit,
    "cuts": truncate,
    "swaps": swap_records,
    "splices": splice,
    "fills": fill,
}


def mutants(kind: str, count: int) -> Iterator[bytes]:
    rng = random.Random(f"{kind} 1")
    for _ in range(count):
        plan = bytearray(rng.choice(originals()))
        MUTATORS[kind](rng, plan)
        yield bytes(plan)


@pytest.mark.parametrize("kind", MUTATORS)
def test_mutated_plans_are_refused_or_decoded(sanitized: Path, scratch: Path, kind: str) -> None:
    made = list(mutants(kind, MUTATIONS // len(MUTATORS)))
    answers = ask(sanitized, made, scratch / kind, "walk")
    accepted = [answer.accepted for answer in answers]
    if kind == "cuts":
        assert accepted.count(False) > 0.99 * len(made)
    else:
        assert 0.05 * len(made) < accepted.count(False) < len(made), "both ways are taken"


def test_the_harness_sees_a_sanitizer_report(scratch: Path, sanitized: Path) -> None:
    """A decoder that reads one byte too far does not pass: the tests above can fail."""
    broken = scratch / "broken.c"
    broken.write_text(
        '#include "csrc/init/plan.h"\n'
        "int plan_check(const void *b, size_t n, struct plan *p) {\n"
        "  (void)p; volatile char c = ((const char *)b)[n]; (void)c; return -1; }\n"
        "const struct pr_step *plan_first(const struct plan *p) { (void)p; return 0; }\n"
        "const struct pr_step *plan_next(const struct plan *p, const struct pr_step *s)\n"
        "{ (void)p; (void)s; return 0; }\n"
    )
    sources = plan_decoder.SOURCES
    plan_decoder.SOURCES = (sources[0], broken)
    try:
        program = plan_decoder.build(
            scratch / "broken", *plan_decoder.SANITIZE, f"-I{plan_decoder.TOP}"
        )
    finally:
        plan_decoder.SOURCES = sources
    with pytest.raises(AssertionError, match="heap-buffer-overflow"):
        ask(program, [b"12345678"], scratch / "one")


def test_an_answer_is_parsed_as_it_is_printed(decoder: Path, scratch: Path) -> None:
    plans = [joined([record(s.Fork, [])]), b"", joined([])]
    assert ask(decoder, plans, scratch / "three") == [
        Answer(True, (1, REGISTERS, 3, 8, 0), (str(s.Fork.OPCODE),)),
        Answer(False),
        Answer(True, (0, REGISTERS, 3, 8, 0), ()),
    ]
