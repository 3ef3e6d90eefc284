"""What `--help` prints: the settings of a command in groups, those that matter first at the top."""

import dataclasses
import textwrap
from collections.abc import Iterator
from typing import Any

from ofar_tf.run.settings import describe_kind, format_setting, kind_of

_WIDTH = 110


def settings_in_groups(kind: type[Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yields the settings of a configuration by topic.

    A configuration may name those that matter most in `FIRST`; the classes that it is made of are the other topics, in
    the order in which they are named, and its own settings are the last.

    Args:
        kind: The configuration's dataclass.

    Yields:
        A title, one line, and the fields.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    first = getattr(kind, "FIRST", ())
    if first:
        yield "The most important ones", [fields.pop(name) for name in first]
    own = [
        base
        for base in reversed(kind.__mro__[1:])
        if vars(base).get("__annotations__") and dataclasses.is_dataclass(base)
    ]
    for part in own:
        names = [name for name in vars(part)["__annotations__"] if name in fields]
        if names:
            yield _title(part), [fields.pop(name) for name in names]
    if fields:
        yield ("The rest" if first or own else "Flags"), list(fields.values())


def help_text(kind: type[Any], about: str) -> str:
    """Writes the help of a command.

    Args:
        kind: The configuration's dataclass.
        about: What the command does, and how it is called: the docstring of its module.

    Returns:
        The text, of lines that fit a terminal.
    """
    parts = [about.strip()]
    for title, fields in settings_in_groups(kind):
        parts.append("\n".join([f"{title}:", *(line for field in fields for line in _lines(field))]))
    parts.append(
        "Any of them may stand in a file, one in a line: --flagfile=FILE. Flags after it win. A list has commas."
    )
    return "\n\n".join(parts) + "\n"


def default_of(field: Any) -> str:
    """Writes the default of a setting as a flag has it; empty where it is nothing.

    Args:
        field: The field of the configuration.
    """
    return str(format_setting(field.default) or "")


def flag_of(field: Any) -> str:
    """Writes the name of a setting as a flag: `--epochs`, or `--[no]progress` for a switch.

    Args:
        field: The field of the configuration.
    """
    return f"--[no]{field.name}" if kind_of(field) is bool else f"--{field.name}"


def _title(topic: type[Any]) -> str:
    return (topic.__doc__ or "").strip().splitlines()[0].rstrip(".")


def _lines(field: Any) -> list[str]:
    text = field.metadata["help"]
    notes = [f"default: {default_of(field)}"] if default_of(field) else []
    if field.metadata["choices"]:
        notes.insert(0, describe_kind(field))
    written = f"  {flag_of(field)}: {text}" + (f" ({'; '.join(notes)})" if notes else "")
    return textwrap.wrap(written, _WIDTH, subsequent_indent="      ", break_long_words=False, break_on_hyphens=False)
