"""Files as accident and malice make them: one sound file in, another file out, by a random number generator."""

import json
import sys
from collections.abc import Iterator
from random import Random
from typing import Any

# Values that no place in our files expects.
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 0.5, 2**63, 10**80, -(10**400), 1e308, float("nan"), float("inf"), "", " ", "x" * 5000, "NaN"),
    *(
        "../../../etc/passwd",
        "/etc/passwd",
        "a\nb",
        "a\0b",
        "\u2028",
        "\ud800",
        "\x1b[2J",
        "O",
        "(2,3)f4",
        [],
        {},
        [[]],
    ),
    *([None], {"a": 1}, {"": {"": [1e999]}}),
)
TOKENS = (
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 300, b'{"a":' * 300, b"1e999", b"-1", b"9" * 40, b"NaN", b"null"),
    *(b"../../etc/passwd", "\u2028".encode(), b"\r\n", b"\n", b",", b'"', b"=", b"#", b"PK\x03\x04", b"\x80\x04\x95."),
)


def mutated(content: bytes, random: Random) -> bytes:
    """Returns a file changed in one to three places; of JSON, also whole values."""
    if content[:1] in (b"{", b"[") and random.random() < 0.5:
        return _with_another_value(content, random)
    for _ in range(random.randint(1, 3)):
        content = random.choice(_CHANGES)(content, random)
    return content


def _with_another_value(content: bytes, random: Random) -> bytes:
    data = json.loads(content)
    place = random.choice(list(_places(data)))
    value = random.choice(VALUES)
    if not place:
        data = value
    else:
        inner = data
        for key in place[:-1]:
            inner = inner[key]
        if random.random() < 0.15:
            del inner[place[-1]]
        else:
            inner[place[-1]] = value
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(data).encode()
    finally:
        sys.set_int_max_str_digits(4300)


def _places(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in children:
        yield from _places(value, (*at, key))


def _flipped(content: bytes, random: Random) -> bytes:
    if not content:
        return content
    place = random.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << random.randrange(8)]) + content[place + 1 :]


def _cut(content: bytes, random: Random) -> bytes:
    return content[: random.randint(0, len(content))]


def _without_a_part(content: bytes, random: Random) -> bytes:
    first, last = sorted(random.randint(0, len(content)) for _ in range(2))
    return content[:first] + content[last:]


def _with_a_part_twice(content: bytes, random: Random) -> bytes:
    first, last = sorted(random.randint(0, len(content)) for _ in range(2))
    return content[:last] + content[first : min(last, first + 10_000)] + content[last:]


def _with_a_token(content: bytes, random: Random) -> bytes:
    place = random.randint(0, len(content))
    return content[:place] + random.choice(TOKENS) + content[place:]


def _overwritten(content: bytes, random: Random) -> bytes:
    place, count = random.randint(0, len(content)), random.randint(1, 16)
    return content[:place] + random.randbytes(count) + content[place + count :]


_CHANGES = (_flipped, _flipped, _cut, _without_a_part, _with_a_part_twice, _with_a_token, _overwritten)
