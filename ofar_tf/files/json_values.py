"""JSON that others wrote, read with suspicion, and frozen dataclasses from it.

An unknown, missing or mistyped key is an error that names its place.
"""

import json
import math
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

_MOST_LEVELS = 32
_LARGEST = 2**63 - 1
Readers = Mapping[type, Callable[[Any, str], Any]]
"""How values are read whose form in JSON is not that of their type: from parsed JSON and the name of its place."""


def read_json(path: str | Path) -> Any:
    """Reads a JSON file whose writer is not known.

    Python's reader takes what JSON has not: NaN and Infinity, a key twice. What it takes and later ends in a traceback
    is refused too: numbers beyond 64 bits, lists in lists without end, halves of characters.

    Args:
        path: The file, in UTF-8.

    Returns:
        What `json.loads` returns: every number is finite and of at most 64 bits.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no such JSON, in one line that names the file.
    """
    source = Path(path)
    try:
        text = source.read_text(encoding="utf-8")
        data = json.loads(
            text, parse_constant=_number, parse_float=_number, parse_int=_number, object_pairs_hook=_without_twins
        )
        _refuse_depth(data)
    except RecursionError:
        raise ValueError(f"Expected JSON of at most {_MOST_LEVELS} levels in {source}. Received: more.") from None
    except ValueError as error:
        raise ValueError(f"Expected JSON in {source}. Received: {' '.join(str(error).split()):.200}.") from error
    return data


def _number(text: str) -> int | float:
    """Reads a number, and refuses what is not finite or does not fit into 64 bits."""
    # A long text is refused unread: Python takes a time that grows with its square.
    whole = text.lstrip("-").isdigit()
    value: int | float = (int(text) if len(text) <= 20 else _LARGEST + 1) if whole else float(text)
    if not math.isfinite(value) or (whole and abs(value) > _LARGEST):
        raise ValueError(f"a number that is not finite or too large, {text:.40}")
    return value


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a key twice among {[key for key, _ in pairs]!r:.120}")
    return found


def _refuse_depth(data: Any) -> None:
    """Walks through all levels, without recursion; texts on the way must be whole characters."""
    level = [data]
    for _ in range(_MOST_LEVELS):
        level = [item for value in level for item in _inside(value)]
    if level:
        raise RecursionError


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, str):
        value.encode("utf-8")  # Refuses one half of a surrogate pair, which nothing can print.
        return ()
    return value if isinstance(value, list) else ()


def from_json(kind: Any, data: Any, *, where: str, readers: Readers | None = None) -> Any:
    """Builds a value of a type from what `json.loads` returned.

    Understands dataclasses (nested too), `tuple[X, ...]`, `tuple[X, Y]`, `X | None`, `Mapping[str, X]` (where X is Any,
    values are taken as they are), str, bool, int and float.

    Args:
        kind: The type to build.
        data: Parsed JSON.
        where: The name of the place, for messages.
        readers: Types, wherever they occur, that are read in another way; each raises a ValueError in one line.

    Returns:
        A value of `kind`.

    Raises:
        ValueError: If the data do not fit the type, in one line that names the place.
    """
    readers = readers or {}
    if kind in readers:
        return readers[kind](data, where)
    if is_dataclass(kind):
        return _dataclass_from_json(kind, data, where=where, readers=readers)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return None if data is None else from_json(inner, data, where=where, readers=readers)
    if origin is tuple:
        return _tuple_from_json(arguments, data, where=where, readers=readers)
    if origin is Mapping:
        _require(isinstance(data, dict), expected="an object", data=data, where=where)
        return data if arguments[1] is Any else _mapping_from_json(arguments[1], data, where=where, readers=readers)
    if kind is float:
        _require(
            isinstance(data, (int, float)) and not isinstance(data, bool) and -_LARGEST <= data <= _LARGEST,
            expected="a number",
            data=data,
            where=where,
        )
        return float(data)
    _require(type(data) is kind, expected=f"a value of type {kind.__name__}", data=data, where=where)
    if kind is int:
        _require(abs(data) <= _LARGEST, expected="a number that fits 64 bits", data="a larger one", where=where)
    return data


def _dataclass_from_json(kind: Any, data: Any, *, where: str, readers: Readers) -> Any:
    _require(isinstance(data, dict), expected="an object", data=data, where=where)
    known = {field.name: field for field in fields(kind)}
    missing = [name for name, field in known.items() if name not in data and _is_required(field)]
    unknown = [name for name in data if name not in known]
    if missing or unknown:
        raise ValueError(
            f"Expected the keys {sorted(known)} in {where}. Received: missing={missing}, unknown={unknown!r:.200}."
        )
    hints = get_type_hints(kind)
    values = {
        name: from_json(hints[name], value, where=f"{where}.{name}", readers=readers) for name, value in data.items()
    }
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{error} ({where})") from error


def _mapping_from_json(kind: Any, data: Mapping[str, Any], *, where: str, readers: Readers) -> dict[str, Any]:
    return {key: from_json(kind, value, where=f"{where}[{key!r:.40}]", readers=readers) for key, value in data.items()}


def _tuple_from_json(arguments: tuple[Any, ...], data: Any, *, where: str, readers: Readers) -> tuple[Any, ...]:
    _require(isinstance(data, list), expected="a list", data=data, where=where)
    if arguments[-1] is not ...:
        _require(len(data) == len(arguments), expected=f"a list of {len(arguments)}", data=data, where=where)
    else:
        arguments = (arguments[0],) * len(data)
    pairs = zip(arguments, data, strict=True)
    return tuple(
        from_json(kind, item, where=f"{where}[{index}]", readers=readers) for index, (kind, item) in enumerate(pairs)
    )


def _is_required(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _require(holds: bool, *, expected: str, data: Any, where: str) -> None:
    if not holds:
        raise ValueError(f"Expected {expected} at {where}. Received: {data!r:.80}.")
