"""A setting of a command: declared once as a field of a dataclass, checked, and read and written as a flag's text."""

import dataclasses
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from ofar_tf.text.quantities import parse_quantity
from ofar_tf.text.size import Size

# JSON, TensorFlow and other languages have 64 bits for a whole number.
_LARGEST = 2**63 - 1
_SPACE = 32


def _parse_side(text: str) -> int | Size:
    """Reads the side of a square, `224`, or another size, height by width: `192x256`."""
    if "x" not in text:
        return parse_quantity(text)
    size = Size.parse(text)
    return size.height if size.is_square else size


def _number(text: str) -> float:
    """Reads a number, or a count such as 504M."""
    return parse_quantity(text) if text[-1:].isalpha() and text[:1].isdigit() else float(text)


_READERS: dict[Any, tuple[Callable[[str], Any], str]] = {
    int: (int, "a whole number"),
    float: (float, "a number"),
    str: (os.path.expanduser, "a text"),
    tuple[int, ...]: (parse_quantity, "counts such as 224 or 504M, with commas between them"),
    tuple[int | Size, ...]: (_parse_side, "sizes such as 224 or 192x256, with commas between them"),
    tuple[float, ...]: (_number, "numbers with commas between them"),
    tuple[str, ...]: (os.path.expanduser, "texts with commas between them"),
}


def setting(
    default: Any,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    free: bool = False,
    suggested: bool = False,
) -> Any:
    """Declares a field of a `Settings` dataclass.

    Args:
        default: Its default.
        text: Its help.
        low: The least value allowed.
        high: The largest value allowed.
        choices: The values allowed; all if empty.
        free: Whether a run may be resumed with another value, because it changes no result.
        suggested: Whether it may be left out, and is `None` until the images of the run suggest a value, whatever its
            type says.
    """
    metadata = {
        "help": text,
        "low": low,
        "high": high,
        "choices": choices,
        "free": free,
        "suggested": suggested,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """Base of the configurations: every field is a `setting`, of its type and within its bounds.

    Raises:
        ValueError: If a value is of another type, out of its bounds, not one of its choices, or not finite.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check(field, getattr(self, field.name))

    @property
    def left_open(self) -> frozenset[str]:
        """The names of the settings that wait for a suggestion."""
        fields = dataclasses.fields(self)
        return frozenset(f.name for f in fields if f.metadata["suggested"] and getattr(self, f.name) is None)


def _check(field: Any, value: Any) -> None:
    kind = kind_of(field)
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            raise ValueError(f"Expected --{field.name} to be a tuple. Received: {value!r:.200}.")
        for entry in value:
            _check_entry(field, entry, kind=get_args(kind)[0])
    elif value is not None or not _is_optional(field):
        _check_entry(field, value, kind=kind)


def _check_entry(field: Any, value: Any, *, kind: type) -> None:
    if isinstance(value, str) and any(ord(character) < _SPACE for character in value):
        raise ValueError(f"Expected --{field.name} on one line, without control characters. Received: {value!r:.200}.")
    if isinstance(value, str) and value and not value.strip():
        raise ValueError(f"Expected --{field.name} to be more than blanks. Received: {value!r:.200}.")
    # A bool is an int to Python, and an int is as good as a float to everyone.
    if not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool) != (kind is bool):
        name = "int or HEIGHTxWIDTH" if kind == int | Size else kind.__name__
        raise ValueError(f"Expected --{field.name} of type {name}. Received: {value!r:.200}.")
    low, high, choices = (field.metadata[key] for key in ("low", "high", "choices"))
    if choices and value not in choices:
        raise ValueError(f"Expected --{field.name} to be one of {', '.join(choices)}. Received: {value!r:.200}.")
    if isinstance(value, int) and abs(value) > _LARGEST:
        # Python refuses to write numbers of more than 4,300 digits.
        raise ValueError(f"Expected --{field.name} of at most 63 bits. Received: {value.bit_length()} bits.")
    if low is not None and not value >= low:
        raise ValueError(f"Expected --{field.name} of at least {low}. Received: {value}.")
    if high is not None and not value <= high:
        raise ValueError(f"Expected --{field.name} of at most {high}. Received: {value}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"Expected a finite --{field.name}. Received: {value}.")


def kind_of(field: Any) -> Any:
    """Returns the type of a setting, `X` where it is declared `X | None`: bool, int, float, str or a tuple of one."""
    return get_args(field.type)[0] if type(None) in get_args(field.type) else field.type


def describe_kind(field: Any) -> str:
    """Says in a few words what a setting's text looks like."""
    choices = field.metadata["choices"]
    return f"one of {', '.join(choices)}" if choices else _READERS[kind_of(field)][1]


def parse_setting(field: Any, text: str) -> Any:
    """Reads the value of a setting, of any kind but bool, as it stands on a command line.

    Args:
        field: The field of the configuration.
        text: What stands behind `--name=`. Nothing at all is the `None` of an optional setting, the empty tuple of a
            list. A leading `~` is the home directory, and `~ada` that of Ada, if there is such a user.

    Returns:
        The value, of the field's type.

    Raises:
        ValueError: If the text is no such value.
    """
    kind = kind_of(field)
    if not text and _is_optional(field):
        return None
    # A text may hold anything; a flagfile's own comments are seen to where it is read.
    if " #" in text and kind not in (str, tuple[str, ...]):
        raise ValueError(
            f"Expected no comment behind a value: flagfiles have them on lines of their own. "
            f"Received: --{field.name}={text}"
        )
    read, form = _READERS[kind]
    try:
        if get_origin(kind) is tuple:
            return tuple(read(entry.strip()) for entry in text.split(",")) if text else ()
        return read(text)
    except ValueError as error:
        raise ValueError(f"Expected --{field.name} to be {form}. Received: {text!r}.") from error


def format_setting(value: Any) -> str | None:
    """Writes a value as the text that `parse_setting` reads back to the same value; `None` stays `None`."""
    if value is None:
        return None
    return ",".join(str(entry) for entry in value) if isinstance(value, tuple) else str(value)


def given_settings(config: Settings) -> dict[str, str]:
    """Returns the settings, of any kind but bool, that are not as they are by default: as texts, by their names."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    given = [field.name for field in dataclasses.fields(config) if values[field.name] != field.default]
    return {name: format_setting(values[name]) or "" for name in given if not isinstance(values[name], bool)}


def _is_optional(field: Any) -> bool:
    return type(None) in get_args(field.type) or bool(field.metadata["suggested"])
