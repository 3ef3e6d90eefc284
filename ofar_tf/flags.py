"""Flags of the commands, made from the settings in `config`. The only module that reads the command line."""

import dataclasses
import difflib
import gc
import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, get_origin

from absl import app, flags

from ofar_tf.run.flagfile import expand_flagfiles
from ofar_tf.run.help_text import help_text
from ofar_tf.run.settings import describe_kind, format_setting, kind_of, parse_setting
from ofar_tf.text.stopping import STOPPED, status_of, stop_at_once, stop_in_order
from ofar_tf.text.streams import is_about_output, open_streams, printing

# absl's own level would be INFO, at which tensorflow-datasets reports every file it opens.
_ERRORS_ONLY = -2
_LONGEST_NAME = 100
_HELP = ("help", "h", "?", "helpshort", "helpfull")


def run(
    main: Callable[[Any], int | None], kind: type[Any], *, positional: str | None = None, warns: bool = False
) -> None:
    """Runs a command: parses its flags into its configuration and calls it.

    Args:
        main: Takes the configuration, returns the exit status (`None` for success).
        kind: The configuration's dataclass.
        positional: The setting whose flag may be left out: an argument that is no flag is its value; all such arguments
            are where the setting is a list.
        warns: Whether it shows what the package warns of; commands after training would say it all once more.
    """
    # The commands compute with TensorFlow, whatever programs beside them use.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    open_streams()
    try:
        stop_in_order()
        # Tracing makes millions of objects that stay: Python looked through them for 5 % of a short run.
        gc.set_threshold(100_000, 50, 100)
        with printing():
            if _asks_for_help(sys.argv[1:]):
                print(help_text(kind, main.__globals__["__doc__"] or ""), end="")
                return
            define(kind, flags.FLAGS, module=sys.argv[0])
            if warns:
                show_warnings()
            app.run(main, flags_parser=partial(_parse_or_exit, kind, positional=positional))
    except KeyboardInterrupt as interrupt:
        with suppress(OSError):  # The terminal may be gone.
            print(STOPPED, file=sys.stderr)
        stop_at_once()
        raise SystemExit(status_of(interrupt)) from None


def _asks_for_help(arguments: Sequence[str]) -> bool:
    before = itertools.takewhile(lambda argument: argument != "--", arguments)
    return any(argument.lstrip("-") in _HELP and argument.startswith("-") for argument in before)


def define(kind: type[Any], values: flags.FlagValues, *, module: str) -> None:
    """Defines one flag for each setting.

    Args:
        kind: The configuration's dataclass.
        values: Where the flags are defined.
        module: Whose flags they are.
    """
    for field in dataclasses.fields(kind):
        common = {"help": field.metadata["help"], "flag_values": values, "module_name": module}
        if kind_of(field) is bool:
            flags.DEFINE_bool(field.name, field.default, **common)
        else:
            flags.DEFINE(_Text(describe_kind(field)), field.name, format_setting(field.default), **common)


def read(kind: type[Any], arguments: Sequence[str], *, positional: str | None = None) -> Any:
    """Turns flags that are not those of this process into a configuration; like `parse`, but without a program."""
    values = flags.FlagValues()
    define(kind, values, module=kind.__name__)
    return parse(kind, values, [kind.__name__, *arguments], positional=positional)


def parse(kind: type[Any], values: flags.FlagValues, arguments: Sequence[str], *, positional: str | None = None) -> Any:
    """Turns a command line into a configuration.

    Args:
        kind: The configuration's dataclass.
        values: The flags that `define` made of it.
        arguments: The name of the program and the flags.
        positional: The setting whose flag may be left out.

    Returns:
        An instance of `kind`.

    Raises:
        ValueError: If there is an unknown flag, a value that does not fit, or an argument that is no flag.
        FileNotFoundError: If a flagfile cannot be read.
    """
    rest = _flags_read(values, arguments)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    takes_all = positional is not None and get_origin(kind_of(fields[positional])) is tuple
    if positional and len(rest) > 1 and values[positional].using_default_value:
        values[positional].value = tuple(rest[1:]) if takes_all else rest[1]
        del rest[1 : None if takes_all else 2]
    if len(rest) > 1:
        if positional:
            raise ValueError(
                f"Expected flags, as --name=value, and one argument for --{positional}. Received: {rest[1]!r} as well."
            )
        raise ValueError(f"Expected flags only, as --name=value. Received: {rest[1]!r}.")
    found = {name: values[name].value for name in fields}
    if positional and takes_all and isinstance(found[positional], str):
        # One of what a command line may have several of: a comma belongs to its name.
        found[positional] = (found[positional],) if found[positional] else ()
    return kind(
        **{name: parse_setting(fields[name], text) if isinstance(text, str) else text for name, text in found.items()}
    )


def _flags_read(values: flags.FlagValues, arguments: Sequence[str]) -> list[str]:
    expanded = expand_flagfiles(arguments[1:])
    for name in (argument.partition("=")[0] for argument in itertools.takewhile(lambda text: text != "--", expanded)):
        # absl looks for similar names by recursion.
        if name.startswith("-") and len(name) > _LONGEST_NAME:
            raise ValueError(f"Expected a flag that --help lists. Received: {name:.40}... of {len(name)} letters.")
    try:
        return values([arguments[0], *expanded])
    except flags.UnrecognizedFlagError as error:
        close = difflib.get_close_matches(error.flagname, list(values), n=1)
        hint = f" Did you mean --{close[0]}?" if close else ""
        raise ValueError(f"Expected a flag that --help lists. Received: --{error.flagname}.{hint}") from error
    except flags.Error as error:
        raise ValueError(f"Expected flags as --help describes them. Received: {error}.") from error


def _parse_or_exit(kind: type[Any], arguments: Sequence[str], *, positional: str | None) -> Any:
    with one_line_errors():
        config = parse(kind, flags.FLAGS, arguments, positional=positional)
    if flags.FLAGS["verbosity"].using_default_value:
        flags.FLAGS.verbosity = _ERRORS_ONLY
    return config


def show_warnings() -> None:
    """Shows what this package warns of, each line once; at the level of the commands it would be lost."""
    log = logging.getLogger("ofar_tf")
    log.setLevel(logging.WARNING)
    log.propagate = False
    log.handlers = [_Lines()]


class _Lines(logging.Handler):
    """Writes warnings as the commands write theirs. What a network is warned of is found again whenever it is read."""

    def __init__(self) -> None:
        super().__init__()
        self._written: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._written:
            self._written.add(text)
            print(f"Warning: {text}", file=sys.stderr, flush=True)


class _Text(flags.ArgumentParser):
    """Leaves a flag's text as it is: `parse_setting` reads it, and names the flag in its errors."""

    def __init__(self, syntactic_help: str):
        self.syntactic_help = syntactic_help


@contextmanager
def one_line_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Ends the program where a user's mistake is found: one line on standard error, exit status 2, no traceback.

    Commands wrap their checks in it; in the work itself, an error that they do not name keeps its traceback.

    Args:
        *kinds: The errors that are the user's to mend; by default `ValueError` and `OSError`.
    """
    caught: tuple[type[Exception], ...] = kinds or (ValueError, OSError)
    try:
        yield
    except caught as error:
        if isinstance(error, OSError) and is_about_output(error):
            raise  # No mistake, see `printing`.
        print_error(error)
        raise SystemExit(2) from None


def print_error(error: Exception) -> None:
    """Prints an error as one line on standard error; of the system's own, which file it is about and why."""
    said = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        said = f"Expected files and folders that can be used. Received: {error.filename} ({error.strerror})."
    print(f"Error: {' '.join(said.split())}", file=sys.stderr)
