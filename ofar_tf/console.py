"""The console scripts: each runs its command as `python -m` does, and `ofar` any of them by its name."""

import runpy
import sys
from functools import partial

from ofar_tf.text.stopping import stop_while_loading
from ofar_tf.text.streams import open_streams, printing

COMMANDS = {
    "train": "search the structures of a family and train them together",
    "evaluate": "calibrate and measure every network of a finished run",
    "export": "write the family as checked .tflite files, with a report",
    "select": "print the path of the file that fits your limits",
    "predict": "run an exported file on an image or a folder",
    "package": "lay files out for Google Play, one for each class of devices",
    "run_matrix": "train many runs over several seeds, and make one table",
    "measure_device": "time a network on a device, for budgets in milliseconds",
    "doctor": "say what this machine has, and what will not work",
}
"""What there is, in the order in which one needs it."""


def main() -> None:
    """Runs `ofar` and `python -m ofar_tf`: without a command it lists them."""
    open_streams()
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in COMMANDS or name.replace("-", "_") in COMMANDS:
        sys.argv = [f"ofar {name}", *arguments]
        _run(name.replace("-", "_"))
        return
    with printing():
        _answer(name)


def _answer(name: str) -> None:
    if name in ("--version", "version"):
        from ofar_tf._version import __version__

        print(__version__)
    elif name in ("--help", "-h", "help"):
        print(_listing(), end="")
    else:
        from difflib import get_close_matches

        close = get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        print(f"Error: Expected a command of {', '.join(COMMANDS)}. Received: {name!r}.{hint}", file=sys.stderr)
        raise SystemExit(2)


def _listing() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, what in COMMANDS.items()]
    return (
        "Train a ConvNet once, get a family of small TFLite models.\n\n"
        + "\n".join(lines)
        + "\n\nofar COMMAND --help lists its flags; python -m ofar_tf.COMMAND is the same command.\n"
    )


def _run(command: str) -> None:
    open_streams()
    stop_while_loading()
    runpy.run_module(f"ofar_tf.{command}", run_name="__main__", alter_sys=True)


# Pip's scripts, `ofar-train` and its like, each call one of these.
train = partial(_run, "train")
evaluate = partial(_run, "evaluate")
export = partial(_run, "export")
select = partial(_run, "select")
package = partial(_run, "package")
run_matrix = partial(_run, "run_matrix")
measure_device = partial(_run, "measure_device")
