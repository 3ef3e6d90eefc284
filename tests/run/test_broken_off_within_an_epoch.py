"""A run that ended within an epoch goes on there, to the same bits."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ofar_tf import train
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.training.callbacks import SaveCheckpoint
from ofar_tf.training.epoch_steps import EpochSteps


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, write_tiny_networks: Callable[[Path], str]) -> Any:
    """Runs the command: epochs of seven steps in executions of three."""
    folder = tmp_path_factory.mktemp("within")
    networks = write_tiny_networks(folder)

    def run(name: str, **changes: Any) -> int:
        here = Path.cwd()
        os.chdir(folder)
        try:
            settings: dict[str, Any] = {
                "run_dir": str(folder / name),
                "model": f"{networks}:build",
                "train_split": "train[:56]",
                "eval_split": "test[:16]",
                "calibration_images": 16,
                "validation_images": 16,
                "validation_every": 2,
                "pruning_rates": (0.1, 0.6),
                "weights": "shared",
                "batch_norm": "switchable",
                "resolutions": (12, 8),
                "min_channels": 1,
                "channel_round_to": 1,
                "epochs": 4,
                "search_epochs": 2,
                "batch_size": 8,
                "steps_per_execution": 3,
                "checkpoint_steps": 2,
                "augmentation": "pad_and_crop",
                "deterministic": True,
                "progress": False,
            }
            return train.main(TrainConfig(**{**settings, **changes}))
        finally:
            os.chdir(here)

    run.folder = folder  # type: ignore[attr-defined]
    return run


@pytest.fixture(scope="module")
def whole(start: Any) -> Path:
    assert start("whole", checkpoint_steps=None) == 0
    return Path(start.folder) / "whole"


def arrays(run_dir: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(run_dir / "checkpoints" / name) as archive:
        return dict(archive)


def assert_same_run(run: Path, whole: Path) -> None:
    expected, received = arrays(whole, "epoch_00004.npz"), arrays(run, "epoch_00004.npz")
    assert received.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(received[name], value, err_msg=name)
    for file in ("results.csv", "similarity.csv", "pool.json"):
        assert (run / file).read_bytes() == (whole / file).read_bytes(), file


def test_an_epoch_has_as_many_steps_as_planned_whatever_runs_at_once(whole: Path) -> None:
    slots = arrays(whole, "epoch_00004.npz")
    assert slots["optimizer/0"] == 4 * 7  # The optimizer's own count of its steps.
    assert slots["search/steps"] == 2 * 7


def test_a_run_killed_after_checkpoints_within_search_and_joint_epochs_ends_with_the_same_bits(
    start: Any, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, deaths = SaveCheckpoint._save, {(0, 6): 1, (2, 6): 1}

    def die(self: Any, epoch: int, step: int, more: Any) -> None:
        save(self, epoch, step, more)
        if deaths.pop((epoch, step), 0):
            raise Killed

    monkeypatch.setattr(SaveCheckpoint, "_save", die)
    for expected in (["epoch_00000_step_00000003.npz", "epoch_00000_step_00000006.npz"], None):
        with pytest.raises(Killed):
            start("killed")
        if expected:
            kept = sorted(path.name for path in (Path(start.folder) / "killed" / "checkpoints").iterdir())
            assert kept == expected
    assert start("killed", steps_per_execution=2) == 0
    assert_same_run(Path(start.folder) / "killed", whole)


def test_a_run_that_is_asked_to_end_saves_the_step_and_ends_with_the_status_of_the_signal(
    start: Any, whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begin, asked = EpochSteps.on_train_batch_begin, [(2, 3)]

    def ask(self: Any, batch: int, logs: Any = None) -> None:
        begin(self, batch, logs)
        if asked and (int(self.model.optimizer.iterations) // 7, batch) == asked[0]:
            asked.clear()
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(EpochSteps, "on_train_batch_begin", ask)
    assert start("asked", checkpoint_steps=None) == 143
    assert capsys.readouterr().err == (
        "Stopped by SIGTERM. All finished steps are kept: the same command goes on from there.\n"
    )
    assert (Path(start.folder) / "asked" / "checkpoints" / "epoch_00002_step_00000006.npz").is_file()
    assert start("asked", checkpoint_steps=None) == 0
    assert_same_run(Path(start.folder) / "asked", whole)
