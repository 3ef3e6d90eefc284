"""Whole runs on the bundled data: killed and resumed, finished, and begun again with other settings.

A longer test of random kills: OFAR_TF_KILLS=40 pytest tests/run/test_training_run.py -m slow -k random
"""

import contextlib
import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest

from ofar_tf import train
from ofar_tf.run import training_run
from ofar_tf.run.finished_run import FinishedRun
from ofar_tf.run.run_dir import RunDir
from ofar_tf.run.train_config import TrainConfig

# Every second one is tried by `make test`; what the others leave, a run without a checkpoint and a half-written
# checkpoint, is also tested below and in training/test_checkpoints.py.
MOMENTS = [
    "within_the_first_epoch",
    "between_pool_and_checkpoint",
    "while_a_checkpoint_is_written",
    "while_the_supernet_is_saved",
]
SEED = random.SystemRandom().randrange(10**6)
RANDOM_MOMENTS = [f"at_random:{SEED + kill}" for kill in range(int(os.environ.get("OFAR_TF_KILLS", "2")))]
FULL_MOMENTS = [
    "when_the_disk_is_full:config.json",
    "when_no_file_may_be_larger:10000",  # Less than a drawing.
    "when_the_disk_is_full:epoch_00002.npz",
    "when_the_disk_is_full:supernet.keras",
]
PLANS = {"killed": MOMENTS[1::2], "often": MOMENTS, "random": RANDOM_MOMENTS, "full": FULL_MOMENTS}


def settings_for(run_dir, **changes):
    return {
        "run_dir": str(run_dir),
        "model": "tiny_networks:build_with_dropout",
        "train_split": "train[:128]",
        "eval_split": "test[:32]",
        "calibration_images": 32,
        "validation_images": 32,
        "pruning_rates": (0.1, 0.6),
        "resolutions": (12, 8),
        "min_channels": 1,
        "channel_round_to": 1,
        "epochs": 4,
        "search_epochs": 2,
        "batch_size": 32,
        "augmentation": "pad_and_crop",
        "deterministic": True,
        "progress": False,
        **changes,
    }


def start(folder, run_dir, *moments):
    script = Path(__file__).parents[1] / "killed_training.py"
    command = [sys.executable, str(script), json.dumps(settings_for(run_dir)), *moments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_tiny_networks):
    """Where the model's module lies."""
    path = tmp_path_factory.mktemp("runs")
    write_tiny_networks(path)
    return path


@pytest.fixture(scope="module")
def outputs(folder):
    """What the same run printed, ended at certain or at random moments, by the name of the plan."""
    return cache(lambda name: start(folder, folder / name, *PLANS[name], "at_no_time").communicate(timeout=900))


@pytest.fixture(scope="module")
def runs(folder, outputs):
    """The folders of these runs, and of the one left alone, after each has ended as it should."""
    # A run that was finished before its random moment has ended well.
    allowed = {"killed": {"killed"}, "often": {"killed"}, "random": {"killed", "0"}, "full": {"1", "2"}}

    def ended(name):
        if name == "whole":
            with contextlib.chdir(folder):
                train.main(TrainConfig(**settings_for(folder / name)))
            return folder / name
        output, errors = outputs(name)
        ends = dict(line.rsplit(": ", 1) for line in output.splitlines() if line.startswith(("at_", "when_", *MOMENTS)))
        print(name, ends)
        assert list(ends) == [*PLANS[name], "at_no_time"] and ends.pop("at_no_time") == "0", (ends, errors)
        assert set(ends.values()) <= allowed[name], (ends, errors)
        assert name != "random" or "killed" in ends.values()
        return folder / name

    return cache(ended)


def last_checkpoint(run_dir):
    with np.load(run_dir / "checkpoints" / "epoch_00004.npz") as archive:
        return dict(archive)


BROKEN_OFF = pytest.mark.parametrize(
    "name", ["killed", *(pytest.param(name, marks=pytest.mark.slow) for name in ("often", "random", "full"))]
)


@BROKEN_OFF
def test_a_run_that_was_broken_off_ends_with_the_same_weights_momenta_and_masks_bit_for_bit(runs, name):
    whole, killed = last_checkpoint(runs("whole")), last_checkpoint(runs(name))
    assert killed.keys() == whole.keys()
    for array, value in whole.items():
        np.testing.assert_array_equal(killed[array], value, err_msg=f"{array}, seed {SEED}")
    assert whole["search/masks"].shape == (2, 2, 14)
    assert whole["search/steps"] == 8


@BROKEN_OFF
def test_a_run_that_was_broken_off_ends_with_the_same_supernet(runs, name):
    whole, killed = (keras.models.load_model(runs(run) / "supernet.keras") for run in ("whole", name))
    for weight, other in zip(whole.weights, killed.weights, strict=True):
        np.testing.assert_array_equal(other, weight, err_msg=f"{weight.path}, seed {SEED}")


@BROKEN_OFF
@pytest.mark.parametrize("file", ["pool.json", "results.csv", "similarity.csv", "labels.txt", "run.flagfile"])
def test_a_run_that_was_broken_off_leaves_the_same_files(runs, name, file):
    assert (runs(name) / file).read_bytes() == (runs("whole") / file).read_bytes(), f"seed {SEED}"


def test_the_table_has_a_row_for_every_epoch_and_subnet(runs):
    lines = (runs("killed") / "results.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1::2]] == [
        ["1", "search"],
        ["2", "search"],
        ["3", "joint"],
        ["4", "joint"],
    ]


@BROKEN_OFF
def test_nothing_half_written_is_left(runs, name):
    assert not [path for path in runs(name).rglob("*") if path.name.startswith(".partial")], f"seed {SEED}"
    checkpoints = sorted(path.name for path in (runs(name) / "checkpoints").iterdir())
    assert checkpoints == ["epoch_00003.npz", "epoch_00004.npz"]


@pytest.mark.slow
def test_a_full_disk_is_one_line_that_names_the_file_and_the_way_on(outputs, runs):
    printed = [line for line in outputs("full")[1].splitlines() if "Error" in line or "Traceback" in line]
    run, way_on = runs("full"), "Make room: the same command goes on from the last checkpoint."
    full = "Received: No space left on device."
    assert printed == [
        f"Error: Expected room for config.json in {run}. {full}",
        f"Error: Expected room for similarity.png in {run}. Received: File too large. {way_on}",
        f"Error: Expected room for epoch_00002.npz in {run / 'checkpoints'}. {full} {way_on}",
        f"Error: Expected room for supernet.keras in {run}. {full} {way_on}",
    ]


@pytest.mark.parametrize(
    ("name", "starts"), [("whole", 1), ("killed", 3), pytest.param("often", 5, marks=pytest.mark.slow)]
)
def test_every_start_is_noted(runs, name, starts):
    assert len(json.loads((runs(name) / "environment.json").read_text())) == starts


def test_tensorboard_has_training_and_validation(runs):
    for name in ("train", "validation"):
        assert list((runs("whole") / name).glob("events.*"))


def contents(run_dir):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run_dir.rglob("*")}


def test_a_finished_run_is_not_trained_again_or_touched(runs):
    before = contents(runs("whole"))
    assert training_run.prepare(TrainConfig(**settings_for(runs("whole")))) is None
    assert contents(runs("whole")) == before


def test_a_finished_run_refuses_other_settings(runs):
    before = contents(runs("whole"))
    with pytest.raises(ValueError, match=r"Received: epochs was 4, now 5\.") as raised:
        training_run.prepare(TrainConfig(**settings_for(runs("whole"), epochs=5)))
    assert "\n" not in str(raised.value)
    assert contents(runs("whole")) == before


def test_a_finished_run_with_a_flipped_byte_is_refused_and_comes_back_from_its_last_checkpoint(
    runs, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(folder)
    run_dir = RunDir(shutil.copytree(runs("whole"), tmp_path / "run"))
    pool = run_dir.pool.read_bytes()
    position = max(index for index in range(len(pool)) if pool[index : index + 1].isdigit())
    run_dir.pool.write_bytes(pool[:position] + b"%d" % (int(pool[position : position + 1]) ^ 1) + pool[position + 1 :])
    with pytest.raises(ValueError, match=r"Expected .*pool\.json as training left it"):
        FinishedRun(str(run_dir.path))
    run_dir.supernet.unlink()
    train.main(TrainConfig(**settings_for(run_dir.path)))
    assert run_dir.pool.read_bytes() == pool
    whole = FinishedRun(str(runs("whole")))
    again = FinishedRun(str(run_dir.path))
    assert again.pool == whole.pool
    for weight, other in zip(whole.supernet.weights, again.supernet.weights, strict=True):
        np.testing.assert_array_equal(other, weight)


@pytest.fixture
def begun(folder, tmp_path, monkeypatch):
    """A run that was killed before its first checkpoint."""
    monkeypatch.chdir(folder)
    config = TrainConfig(**settings_for(tmp_path / "run", deterministic=False))
    assert training_run.prepare(config).epochs_done == 0
    return config


def test_a_run_killed_before_its_first_checkpoint_begins_anew_and_says_so(begun, capsys):
    RunDir(Path(begun.run_dir)).environment.write_text("{}")  # What every start leaves before it trains.
    half = Path(begun.run_dir) / "checkpoints" / ".partial_xyz"
    half.mkdir(parents=True)
    (half / "epoch_00001.npz").write_text("half")
    run = training_run.prepare(begun)
    assert run.epochs_done == 0
    assert run.model.searching
    assert not half.exists()
    assert capsys.readouterr().out.endswith(
        f"Note: {half.parent} has no checkpoint of the earlier start: the run begins anew at epoch 1.\n"
    )


def test_settings_that_change_a_result_are_refused_and_free_ones_are_not(begun):
    with pytest.raises(ValueError, match=r"learning_rate was 0\.025, now 0\.2; seed was 0, now 1") as raised:
        training_run.prepare(dataclasses.replace(begun, seed=1, learning_rate=0.2))
    assert "\n" not in str(raised.value)
    free = dataclasses.replace(begun, checkpoint_steps=7, progress=True, validation_every=2)
    assert training_run.prepare(free) is not None


def test_when_every_checkpoint_is_damaged_the_run_is_refused_on_one_line(begun):
    checkpoints = Path(begun.run_dir) / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / "epoch_00001.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="Expected a readable checkpoint in") as raised:
        training_run.prepare(begun)
    assert "\n" not in str(raised.value)
