"""Flagfiles as people write them: read in any editor's encoding, with quotes where a value needs them."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from ofar_tf.files.given_path import given_path
from ofar_tf.files.text_file import read_lines

FLAGFILE_OF_A_RUN = "run.flagfile"
"""The name of the one in a run's folder, which repeats the run."""

_NAMES = ("--flagfile", "-flagfile")
_COMMENTS = ("#", "//")
# What a shell does not take as it stands: variables; without quotes also comments, other flags, a line that goes on.
_VARIABLE = re.compile(r"\$(\w+|[({])")
_OF_A_SHELL = re.compile(rf" #| --?[A-Za-z]\w*|{_VARIABLE.pattern}|\\$")


def expand_flagfiles(arguments: Sequence[str]) -> list[str]:
    """Puts the lines of flagfiles in the place of the `--flagfile=PATH` that name them.

    A line is a flag; empty lines and lines that begin with # or // are left out. A value in quotes is taken without
    them, as a shell does: `--data_dir='photos #2'`. Without quotes, what a shell would read otherwise is refused: it
    would silently become part of a name. Flagfiles may name others, by a path from the current directory.

    Args:
        arguments: A command line without the program's name. What follows `--` is left as it is.

    Returns:
        The same command line without flagfiles.

    Raises:
        FileNotFoundError: If a flagfile cannot be read.
        ValueError: If it is no text, names itself, or has a line that is more or less than one flag.
    """
    return list(_expanded(list(arguments), inside=()))


def _expanded(arguments: list[str], *, inside: tuple[Path, ...]) -> Iterator[str]:
    while arguments:
        argument = arguments.pop(0)
        name, has_value, value = argument.partition("=")
        if argument == "--":
            yield from (argument, *arguments)
            return
        if name not in _NAMES:
            yield argument
        elif has_value or arguments:
            path = given_path(value if has_value else arguments.pop(0))
            if path.resolve() in inside:
                raise ValueError(f"Expected flagfiles that do not name themselves. Received: {path}.")
            yield from _expanded(_lines(path), inside=(*inside, path.resolve()))
        else:
            raise ValueError(f"Expected a path behind --flagfile. Received: {argument}.")


def _lines(path: Path) -> list[str]:
    try:
        lines = read_lines(path)
    except OSError as error:
        raise FileNotFoundError(
            f"Expected a flagfile that can be read. Received: {error.strerror}: '{path}'."
        ) from error
    return [one_flag(line) for line in lines if not line.startswith(_COMMENTS)]


def one_flag(line: str) -> str:
    """Reads a flag that stands alone, where no shell reads it: a line of a flagfile, or an override of a matrix.

    Args:
        line: As `--name=value`, the value with or without quotes.

    Returns:
        The flag as a program is given it.

    Raises:
        ValueError: If it is more or less than one flag, or holds what only a shell would understand.
    """
    name, _, value = line.partition("=")
    if name.startswith("-") and " " in name:
        raise ValueError(f"Expected one flag in a line of a flagfile or an override, as --name=value. Received: {line}")
    _refuse_what_a_shell_reads(line, value)
    if value[:1] not in ("'", '"'):
        return line
    try:
        (word,) = shlex.split(value)
    except ValueError as error:
        raise ValueError(f"Expected a value within quotes, and nothing behind them. Received: {line}") from error
    return f"{name}={word}"


def _refuse_what_a_shell_reads(line: str, value: str) -> None:
    if value.startswith("'"):
        return
    found = (_VARIABLE if value.startswith('"') else _OF_A_SHELL).search(value)
    if found and found.group() == " #":
        raise ValueError(
            f"Expected no comment behind a value: flagfiles have them on lines of their own. Received: {line}"
        )
    if found:
        raise ValueError(
            f"Expected one flag in a line of a flagfile or an override, which no shell reads: "
            f"'{found.group().strip()}' is part of a value in single quotes only. Received: {line}"
        )


def quoted(text: str) -> str:
    """Writes a value so that a flagfile gives it back: in quotes where it could be taken for something else.

    Args:
        text: A value on one line.
    """
    special = _OF_A_SHELL.search(text) or text[:1] in ("'", '"') or text != text.strip()
    # Always begun by a single quote, inside of which everything is as it stands.
    return shlex.quote(text) if special else text
