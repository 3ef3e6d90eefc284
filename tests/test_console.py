"""One door: it lists the commands, and every command answers to signals and pipes in the same way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from ofar_tf import console

PACKAGE = Path(console.__file__).parent


def run_door(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "ofar_tf", *arguments], capture_output=True, text=True)


def test_without_a_command_it_lists_them() -> None:
    ended = run_door()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line.split()[0] for line in ended.stdout.splitlines() if line.startswith("  ")] == list(console.COMMANDS)


@pytest.mark.parametrize(
    ("name", "hint"), [("trian", " Did you mean train?"), ("run-matrixx", " Did you mean run_matrix?"), ("\x1b[0m", "")]
)
def test_an_unknown_command_is_named(
    name: str, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ofar", name])
    with pytest.raises(SystemExit) as caught:
        console.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == (
        f"Error: Expected a command of {', '.join(console.COMMANDS)}. Received: {name!r}.{hint}\n"
    )


def commands() -> list[str]:
    return [path.stem for path in sorted(PACKAGE.glob("*.py")) if "flags.run(" in path.read_text(encoding="utf-8")]


def test_every_module_that_is_a_command_is_listed() -> None:
    assert set(commands()) == set(console.COMMANDS)


@pytest.mark.parametrize("name", commands())
def test_every_command_runs_where_signals_are_seen_to(name: str) -> None:
    last = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8")).body[-1]
    assert ast.unparse(last).startswith("if __name__ == '__main__':\n    flags.run(main, ")


def test_a_reader_that_stops_reading_is_no_error() -> None:
    command = f"{sys.executable} -m ofar_tf train --help | head -1; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert ended.stderr == ""
    assert ended.stdout.splitlines()[0] == "Searches the structures of a supernet and trains them all at once."
    assert ended.stdout.splitlines()[-1] in ("141", "0")  # The help may fit into the pipe.
