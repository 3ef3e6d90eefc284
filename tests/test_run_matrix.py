"""The command: its flags, and one real run as small as it can be."""

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ofar_tf import flags
from ofar_tf.run.matrix.matrix_config import RunMatrixConfig

TINY = """
overrides = [
    "--train_split=train[:64]", "--eval_split=test[:50]", "--augmentation=none", "--model=resnet8",
    "--pruning_rates=0,0.3", "--resolutions=16", "--epochs=1", "--search_epochs=0", "--batch_size=32",
    "--calibration_images=64", "--validation_every=0",
]
[[run]]
name = "tiny"
"""


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "ofar_tf.run_matrix", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def read(*arguments: str) -> RunMatrixConfig:
    return flags.read(RunMatrixConfig, arguments, positional="matrix")


def test_the_file_is_an_argument_or_a_flag_at_any_place() -> None:
    expected = RunMatrixConfig(matrix="some/table5.toml", list=True)
    assert read("some/table5.toml", "--list") == expected
    assert read("--list", "some/table5.toml") == expected
    assert read("--matrix=some/table5.toml", "--list") == expected


def test_everything_goes_into_a_folder_named_after_the_file() -> None:
    assert read("some/table5.toml").folder == Path("runs/table5")
    assert read("some/table5.toml", "--matrix_dir=here").folder == Path("here")


ONE_ARGUMENT = "Expected flags, as --name=value, and one argument for --matrix. Received: 'b.toml' as well."


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Expected a file of runs, as in ofar run_matrix FILE. Received: none."),
        (["a.toml", "b.toml"], ONE_ARGUMENT),
        (["--matrix=a.toml", "b.toml"], ONE_ARGUMENT),
        (["a.toml", "--lst"], "Expected a flag that --help lists. Received: --lst. Did you mean --list?"),
    ],
)
def test_anything_else_is_refused(arguments: list[str], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(*arguments)
    assert str(caught.value) == sentence


@pytest.mark.slow
def test_the_command_runs_lists_and_refuses(tmp_path: Path, run_command: Any) -> None:
    file, out = tmp_path / "tiny.toml", tmp_path / "out"
    file.write_text(TINY)
    ended = command(file, f"--matrix_dir={out}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith("[1/1] tiny seed 0: finished in ")
    with (out / "matrix.csv").open(newline="") as means, (out / "tiny/seed_0/subnets.csv").open(newline="") as measured:
        keys = ("structure", "resolution", "macs", "params", "top1")
        expected = [[row[key] for key in keys] for row in csv.DictReader(measured)]
        assert [[row[key] for key in keys] for row in csv.DictReader(means)] == expected
    assert (out / "matrix.png").stat().st_size > 0
    assert f"Next: {sys.executable} -m ofar_tf export" in (out / "tiny/seed_0.log").read_text()

    listed = run_command("run_matrix", f"--matrix={file}", f"--matrix_dir={out}", "--list")
    assert listed.returncode == 0 and "0 of 1 runs are left" in listed.stdout

    file.write_text(TINY.replace("--epochs=1", "--epochs=2"))
    refused = run_command("run_matrix", f"--matrix={file}", f"--matrix_dir={out}")
    assert refused.returncode == 2
    assert refused.stderr == (
        f"Error: Expected the settings that the run in {out}/tiny/seed_0 began with, or another --run_dir. "
        "Received: epochs was 1, now 2.\n"
    )
