"""Whole runs on the bundled data: killed and resumed, finished, and begun again with other settings."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ofar_tf import training_run
from ofar_tf.config import TrainConfig

MODEL = """
import keras
from keras import layers


def build(classes):
    image = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    for filters in (6, 8):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Dense(classes)(x))
"""
MOMENTS = [
    "within_the_first_epoch",
    "between_pool_and_checkpoint",
    "while_a_checkpoint_is_written",
    "while_the_supernet_is_saved",
]


def settings_for(run_dir, **changes):
    return {
        "run_dir": str(run_dir),
        "model": "tiny_resume_model:build",
        "train_split": "train[:128]",
        "eval_split": "test[:32]",
        "calibration_images": 32,
        "validation_images": 32,
        "pruning_rates": (0.1, 0.3, 0.6),
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
    script = Path(__file__).with_name("killed_training.py")
    command = [sys.executable, str(script), json.dumps(settings_for(run_dir)), *moments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the model's module lies."""
    path = tmp_path_factory.mktemp("runs")
    (path / "tiny_resume_model.py").write_text(MODEL)
    return path


@pytest.fixture(scope="module")
def runs(folder):
    """The same run twice, side by side: never interrupted, and killed at four moments."""
    whole, killed = folder / "whole", folder / "killed"
    processes = [start(folder, whole, "at_no_time"), start(folder, killed, *MOMENTS, "at_no_time")]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert outputs[0][0].splitlines()[-1] == "at_no_time: 0", outputs[0][1]
    ends = [line for line in outputs[1][0].splitlines() if line.partition(":")[0] in (*MOMENTS, "at_no_time")]
    assert ends == [*(f"{moment}: killed" for moment in MOMENTS), "at_no_time: 0"], outputs[1][1]
    return whole, killed


def last_checkpoint(run_dir):
    with np.load(run_dir / "checkpoints" / "epoch_00004.npz") as archive:
        return dict(archive)


def test_a_run_killed_four_times_ends_with_the_same_weights_bit_for_bit(runs):
    whole, killed = map(last_checkpoint, runs)
    assert killed.keys() == whole.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(killed[name], value, err_msg=name)
    assert whole["search/masks"].shape == (2, 3, 14)
    assert whole["search/steps"] == 8


@pytest.mark.parametrize("name", ["pool.json", "results.csv", "similarity.csv", "labels.txt"])
def test_a_run_killed_four_times_leaves_the_same_files(runs, name):
    whole, killed = runs
    assert (killed / name).read_bytes() == (whole / name).read_bytes()


def test_the_table_has_a_row_for_every_epoch_and_subnet(runs):
    lines = (runs[1] / "results.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1::3]] == [
        ["1", "search"],
        ["2", "search"],
        ["3", "joint"],
        ["4", "joint"],
    ]


def test_nothing_half_written_is_left(runs):
    assert not [path for path in runs[1].rglob("*") if path.name.startswith(".partial")]
    assert sorted(path.name for path in (runs[1] / "checkpoints").iterdir()) == ["epoch_00003.npz", "epoch_00004.npz"]


def test_every_start_is_noted(runs):
    assert [len(json.loads((run_dir / "environment.json").read_text())) for run_dir in runs] == [1, 5]


def test_tensorboard_has_training_and_validation(runs):
    for name in ("train", "validation"):
        assert list((runs[0] / name).glob("events.*"))


def contents(run_dir):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run_dir.rglob("*")}


def test_a_finished_run_is_not_trained_again_or_touched(runs):
    before = contents(runs[0])
    assert training_run.prepare(TrainConfig(**settings_for(runs[0]))) is None
    assert contents(runs[0]) == before


def test_a_finished_run_refuses_other_settings(runs):
    before = contents(runs[0])
    with pytest.raises(ValueError, match=r"Received: epochs was 4, now 5\.") as raised:
        training_run.prepare(TrainConfig(**settings_for(runs[0], epochs=5)))
    assert "\n" not in str(raised.value)
    assert contents(runs[0]) == before


@pytest.fixture
def begun(folder, tmp_path, monkeypatch):
    """A run that was killed before its first checkpoint."""
    monkeypatch.chdir(folder)
    config = TrainConfig(**settings_for(tmp_path / "run", deterministic=False))
    assert training_run.prepare(config).epochs_done == 0
    return config


def test_a_run_killed_before_its_first_checkpoint_begins_anew(begun):
    half = Path(begun.run_dir) / "checkpoints" / ".partial_xyz"
    half.mkdir(parents=True)
    (half / "epoch_00001.npz").write_text("half")
    run = training_run.prepare(begun)
    assert run.epochs_done == 0
    assert run.model.searching
    assert not half.exists()


def test_settings_that_change_a_result_are_refused_and_free_ones_are_not(begun):
    with pytest.raises(ValueError, match=r"learning_rate was 0\.1, now 0\.2; seed was 0, now 1") as raised:
        training_run.prepare(dataclasses.replace(begun, seed=1, learning_rate=0.2))
    assert "\n" not in str(raised.value)
    free = dataclasses.replace(begun, eval_batch_size=7, progress=True, validation_every=2)
    assert training_run.prepare(free) is not None


def test_when_every_checkpoint_is_damaged_the_run_is_refused_on_one_line(begun):
    checkpoints = Path(begun.run_dir) / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / "epoch_00001.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="Expected a readable checkpoint in") as raised:
        training_run.prepare(begun)
    assert "\n" not in str(raised.value)
