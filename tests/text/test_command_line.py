import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.text.command_line import command_line


def test_a_plain_command_is_written_plainly() -> None:
    assert command_line("evaluate", run_dir="runs/one", data_dir=None) == "ofar evaluate --run_dir=runs/one"


def test_what_a_shell_would_split_is_quoted() -> None:
    assert command_line("select", export_dir="my runs/#1", max_macs=5) == (
        "ofar select --export_dir='my runs/#1' --max_macs=5"
    )


@given(folder=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_shell_gives_the_command_the_very_folder(folder: str) -> None:
    assert shlex.split(command_line("train", run_dir=folder))[2] == f"--run_dir={folder}"


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs on the PATH with an `ofar` in it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "ofar").touch(mode=0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("started", "program"),
    [
        ("python -m ofar_tf.train --epochs=1", "python -m ofar_tf"),
        ("python3.12 -m ofar_tf train", "python3.12 -m ofar_tf"),
        (".venv/bin/python -u -X dev -m ofar_tf.train", ".venv/bin/python -u -X dev -m ofar_tf"),
        ("'my venv/bin/python' -m ofar_tf.train", "'my venv/bin/python' -m ofar_tf"),
        ("/usr/bin/python3 SCRIPTS/ofar train", "ofar"),
        ("/usr/bin/python3 SCRIPTS/ofar-train", "ofar"),
        ("/other/bin/python /other/bin/ofar train", "/other/bin/ofar"),
        ("/other/bin/python ./ofar train", "./ofar"),
        ("/other/bin/python /other/bin/ofar-run-matrix a.toml", "/other/bin/ofar"),
        ("python -m ipykernel_launcher -f kernel.json", "ofar"),
        ("python mine.py -m ofar", "ofar"),
        ("python", "ofar"),
    ],
)
def test_the_next_command_begins_as_the_one_that_runs(
    scripts: Path, started: str, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "orig_argv", shlex.split(started.replace("SCRIPTS", str(scripts))))
    assert command_line("evaluate", run_dir="r") == f"{program} evaluate --run_dir=r"
