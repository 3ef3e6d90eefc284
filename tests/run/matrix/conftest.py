"""Commands that take no time: they leave the files that `train` and `evaluate` leave, or come to harm as told."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ofar_tf import flags
from ofar_tf.files.folder_lock import FolderLock
from ofar_tf.run.config_file import to_json
from ofar_tf.run.matrix.matrix import Matrix
from ofar_tf.run.matrix.matrix_file import read_matrix
from ofar_tf.run.matrix.processes import Processes
from ofar_tf.run.train_config import TrainConfig

# Seed s finds 1000 + 10 s multiply-adds and is right on (80 + s) % of the images.
_PROGRAM = """
import os, pathlib, shutil, signal, sys, time
told, command, *flags = sys.argv[1:]
values = dict(flag.removeprefix("--").partition("=")[::2] for flag in flags)
run_dir, planned = pathlib.Path(values["run_dir"]), "plan" in values
seed, name = int(run_dir.name.removeprefix("seed_")), run_dir.parent.name
call = f"{'plan' if planned else command} {name} {seed}"
with open(f"{told}/calls", "a") as file:
    print(call, file=file)
print("working on", name, flush=True)

def take():
    run_dir.mkdir(parents=True, exist_ok=True)
    shutil.copy(f"{told}/config {name} {seed}", run_dir / "config.json")

harm = pathlib.Path(told, call)
if harm.exists():
    text = harm.read_text()
    harm.unlink()
    exec(text)
if planned:
    pass
elif command == "train":
    take()
    (run_dir / "supernet.keras").write_text("trained")
else:
    assert (run_dir / "supernet.keras").exists()
    (run_dir / "subnets.csv").write_text(
        "structure,rate,resolution,macs,params,top1,top5,images,pareto\\n"
        f"rate50,0.5,24,{1000 + 10 * seed},50,0.8{seed},0.99,100,True\\n"
    )
"""

TWO_BY_TWO = """
seeds = [0, 1]
overrides = ["--pruning_rates=0.0,0.5"]
[[run]]
name = "one"
[[run]]
name = "two"
overrides = ["--noflip"]
"""


class StandIn:
    """The stand-in for the commands, and what it was told and asked to do."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "calls").touch()

    def program(self, command: str) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", _PROGRAM, str(self.folder), command]

    def come_to_harm(self, call: str, statements: str) -> None:
        """The next time that this is called, it runs these statements first."""
        (self.folder / call).write_text(statements)

    def take_calls(self) -> list[str]:
        """What was called since this was last asked."""
        calls = (self.folder / "calls").read_text().splitlines()
        (self.folder / "calls").write_text("")
        return calls


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    folder = tmp_path / "stand_in"
    folder.mkdir()
    return StandIn(folder)


@pytest.fixture
def processes(stand_in: StandIn, tmp_path: Path) -> Iterator[Processes]:
    lock = FolderLock(tmp_path / "out")
    yield Processes(stand_in.program, lock)
    lock.release()


@pytest.fixture
def matrix_of(stand_in: StandIn, tmp_path: Path) -> Callable[..., Matrix]:
    """Reads a matrix from the text of its file."""

    def read(text: str = TWO_BY_TWO) -> Matrix:
        (tmp_path / "some.toml").write_text(text)
        runs = read_matrix(
            tmp_path / "some.toml", folder=tmp_path / "out", parse=lambda line: flags.read(TrainConfig, line)
        )
        for run in runs:
            (stand_in.folder / f"config {run.name} {run.seed}").write_text(to_json(run.config))
        return Matrix(runs, tmp_path / "out", title="some")

    return read
