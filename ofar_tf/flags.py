"""Flags of the commands, made from the settings in `config`. The only module that reads the command line."""

import dataclasses
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, get_args

from absl import app, flags

from ofar_tf.config import parse_value


def run(main: Callable[[Any], int | None], kind: type[Any]) -> None:
    """Runs a command: parses its flags into its configuration and calls it.

    Args:
        main: Takes the configuration, returns the exit status (`None` for success).
        kind: The configuration's dataclass.
    """
    # Before TensorFlow is imported: it greets every user with lines about oneDNN and CUDA.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for field in dataclasses.fields(kind):
        _define(field)
    app.run(lambda arguments: main(_configuration(kind, arguments)), flags_parser=_parse)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the program where a user's mistake is found: one line on standard error, exit status 2, no traceback.

    Commands wrap their checks in it, and nothing else: an error in the work itself keeps its traceback.
    """
    try:
        yield
    except (ValueError, OSError, flags.Error) as error:
        message = " ".join(str(error).split())
        print(f"Error: {message}", file=sys.stderr)
        raise SystemExit(2) from None


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Keeps what TensorFlow's libraries print while they are loaded off the screen, unless loading fails.

    They write about oneDNN and CUDA straight to the file descriptor, before any setting of theirs is read.
    """
    with tempfile.TemporaryFile() as held:
        screen = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(screen, held.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)


def _configuration(kind: type[Any], arguments: Sequence[str]) -> Any:
    with one_line_errors():
        if len(arguments) > 1:
            raise ValueError(f"Expected flags only, as --name=value. Received: {arguments[1]!r}.")
        values = {field.name: flags.FLAGS[field.name].value for field in dataclasses.fields(kind)}
        return kind(**{field.name: parse_value(field.type, values[field.name]) for field in dataclasses.fields(kind)})


def _parse(arguments: Sequence[str]) -> list[str]:
    with one_line_errors():
        return flags.FLAGS(list(arguments))


def _define(field: Any) -> None:
    members = get_args(field.type)
    kind = members[0] if type(None) in members else field.type
    choices = field.metadata["choices"]
    # `--help` shows the flags of the module that runs, which is the command and not this one.
    common = {"help": field.metadata["help"], "module_name": sys.argv[0]}
    if kind is bool:
        flags.DEFINE_bool(field.name, field.default, **common)
    elif kind is int:
        flags.DEFINE_integer(field.name, field.default, **common)
    elif kind is float:
        flags.DEFINE_float(field.name, field.default, **common)
    elif kind is str and choices:
        flags.DEFINE_enum(field.name, field.default, choices, **common)
    elif kind is str:
        flags.DEFINE_string(field.name, field.default, **common)
    else:
        flags.DEFINE_list(field.name, [str(entry) for entry in field.default], **common)
