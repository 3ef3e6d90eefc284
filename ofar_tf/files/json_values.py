"""Frozen dataclasses from parsed JSON; an unknown, missing or mistyped key is an error that names its place."""

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

# Of a float of 64 bits; a longer int does not become one.
_LARGEST = 1.7e308


def read_json(path: Path) -> Any:
    """Reads a JSON file that anybody may have written.

    Args:
        path: The file.

    Returns:
        Dicts, lists, texts, numbers, bools and None.

    Raises:
        ValueError: If it is no JSON, in one line: not UTF-8, cut off, nested too deeply, with numbers too long to read
            or that are none (NaN, Infinity), or with a key twice.
        OSError: If it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError(f"Expected JSON that can be read in {path}. Received: values nested too deeply.") from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Expected JSON that can be read in {path}. Received: {reason:.200}.") from error


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key that is there twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name}, which is no number")


def from_json(kind: Any, data: Any, *, where: str) -> Any:
    """Builds a value of a type from what `json.loads` returned.

    Understands dataclasses (nested too), `tuple[X, ...]`, `tuple[X, Y]`, `X | None`, mappings (taken as they are), str,
    bool, int and float.

    Args:
        kind: The type to build.
        data: Parsed JSON.
        where: The name of the place, for messages.

    Returns:
        A value of `kind`.

    Raises:
        ValueError: If the data do not fit the type, in one line that names the place.
    """
    if is_dataclass(kind):
        return _dataclass_from_json(kind, data, where=where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return None if data is None else from_json(inner, data, where=where)
    if origin is tuple:
        return _tuple_from_json(arguments, data, where=where)
    if origin is Mapping:
        _require(isinstance(data, dict), expected="an object", data=data, where=where)
        return data
    if kind is float:
        _require(
            isinstance(data, (int, float)) and not isinstance(data, bool), expected="a number", data=data, where=where
        )
        _require(abs(data) <= _LARGEST, expected="a number that fits 64 bits", data="a larger one", where=where)
        return float(data)
    _require(type(data) is kind, expected=f"a value of type {kind.__name__}", data=data, where=where)
    if kind is int:
        _require(abs(data) < 2**63, expected="a number that fits 64 bits", data="a larger one", where=where)
    return data


def _dataclass_from_json(kind: Any, data: Any, *, where: str) -> Any:
    _require(isinstance(data, dict), expected="an object", data=data, where=where)
    known = {field.name: field for field in fields(kind)}
    missing = [name for name, field in known.items() if name not in data and _is_required(field)]
    unknown = [name for name in data if name not in known]
    if missing or unknown:
        raise ValueError(
            f"Expected the keys {sorted(known)} in {where}. Received: missing={missing}, unknown={unknown}."
        )
    hints = get_type_hints(kind)
    return kind(**{name: from_json(hints[name], value, where=f"{where}.{name}") for name, value in data.items()})


def _tuple_from_json(arguments: tuple[Any, ...], data: Any, *, where: str) -> tuple[Any, ...]:
    _require(isinstance(data, list), expected="a list", data=data, where=where)
    if arguments[-1] is not ...:
        _require(len(data) == len(arguments), expected=f"a list of {len(arguments)}", data=data, where=where)
    else:
        arguments = (arguments[0],) * len(data)
    pairs = zip(arguments, data, strict=True)
    return tuple(from_json(kind, item, where=f"{where}[{index}]") for index, (kind, item) in enumerate(pairs))


def _is_required(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _require(holds: bool, *, expected: str, data: Any, where: str) -> None:
    if not holds:
        raise ValueError(f"Expected {expected} at {where}. Received: {data!r:.80}.")
