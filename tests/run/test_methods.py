"""Every method through one trainer: trained, saved, read back, measured and cut out."""

import csv
import functools
import shutil
from pathlib import Path

import numpy as np
import pytest

from ofar_tf.conversion.stock_networks import family_members
from ofar_tf.run import training_run
from ofar_tf.run.finished_run import FinishedRun
from ofar_tf.run.methods import METHODS
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.training.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_tiny_networks):
    """Where the model's module and the runs lie."""
    path = tmp_path_factory.mktemp("methods")
    write_tiny_networks(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.syspath_prepend(path)
        yield path


@pytest.fixture(scope="module")
def settings(folder):
    return {
        "run_dir": str(folder / "run"),
        "model": "tiny_networks:build",
        "train_split": "train[:128]",
        "eval_split": "test[:64]",
        "calibration_images": 64,
        "validation_images": 64,
        "validation_every": 2,
        "pruning_rates": (0.1, 0.6),
        "resolutions": (12, 8),
        "min_channels": 1,
        "channel_round_to": 1,
        "epochs": 2,
        "search_epochs": 1,
        "batch_size": 32,
        "augmentation": "pad_and_crop",
        "progress": False,
    }


def trained(settings, **changes):
    config = TrainConfig(**{**settings, **changes})
    training_run.prepare(config).train()
    return FinishedRun(config.run_dir)


@pytest.fixture(scope="module")
def run_of(settings, folder):
    """Trains a method when it is first asked for."""
    # Averages of weights make it harder: what is saved is not what the last step left.
    return functools.cache(
        lambda method: trained(settings, method=method, run_dir=str(folder / method), ema_momentum=0.5)
    )


def last_measurements(run_dir: Path):
    """The top-1 of each structure at the largest resolution, as the training process saw it in the end."""
    with (run_dir / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["structure"]: float(row["top1"]) for row in rows if row["epoch"] == rows[-1]["epoch"]}


# Shared weights, and weights of their own; the others differ from these by settings.
QUICK = ("ofar", "us_net", "independent")


@pytest.mark.parametrize(
    "method", [pytest.param(method, marks=[] if method in QUICK else [pytest.mark.slow]) for method in METHODS]
)
def test_what_a_method_trained_is_what_is_measured_and_shipped(run_of, method):
    run = run_of(method)
    run_dir = run.run_dir.path
    rows = run.trained_pool.evaluate()
    assert len(rows) == 4
    measured = {row.structure: row.merit for row in rows if str(row.resolution) == "12"}
    assert measured == pytest.approx(last_measurements(run_dir))
    assert (run_dir / "own_weights.npz").exists() == (method in ("slimmable", "independent", "network_slimming"))
    member = family_members(run.trained_pool, rows, origin="this test")[-1]
    parity = member.measure_parity(member.build(check_output=lambda shape: None))
    assert parity.reasons == ()


def test_the_masks_of_searching_methods_come_from_gammas_and_of_the_others_from_the_order(run_of):
    pool = run_of("us_net").pool
    for mask in pool.masks:
        for group in mask.groups:
            kept = mask.keep[group.start : group.start + group.size]
            assert kept.tolist() == sorted(kept, reverse=True)  # The first channels of each layer.
    assert {network.frozen_at_epoch for network in pool} == {0}


def test_a_setting_of_its_own_wins_over_the_method(settings):
    config = TrainConfig(**settings, method="us_net").resolved()
    assert (config.importance, config.distillation, config.training_resolutions) == ("uniform", "star", (12,))
    config = TrainConfig(**settings, method="us_net", distillation="chain", training_resolutions=(8,)).resolved()
    assert (config.importance, config.distillation, config.training_resolutions) == ("uniform", "chain", (8,))


class InterruptedTrainingError(Exception):
    """Stands for a kill that comes while a checkpoint is about to be written."""


@pytest.mark.slow
def test_separate_averaged_weights_that_began_anew_survive_an_interruption(settings, tmp_path, monkeypatch):
    options = {
        "method": "network_slimming",
        "after_search": "reinitialize",
        "ema_momentum": 0.9,
        "epochs": 3,
        "deterministic": True,
    }
    whole = trained(settings, run_dir=str(tmp_path / "whole"), **options)
    save = Checkpoints.save

    def interrupt(self, epoch, state):
        if epoch == 3:
            raise InterruptedTrainingError
        save(self, epoch, state)

    options["run_dir"] = str(tmp_path / "interrupted")
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", interrupt)
        with pytest.raises(InterruptedTrainingError):
            trained(settings, **options)
    resumed = trained(settings, **options)
    assert [mask.keep.tolist() for mask in resumed.pool.masks] == [mask.keep.tolist() for mask in whole.pool.masks]
    pairs = zip(
        [*whole.supernet.weights, *whole.weights.own], [*resumed.supernet.weights, *resumed.weights.own], strict=True
    )
    for expected, actual in pairs:
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("moments", [(5,), pytest.param((2, 5), marks=pytest.mark.slow)])
def test_structures_that_trained_on_alone_are_measured_and_shipped_also_after_an_interruption(
    settings, tmp_path, monkeypatch, moments
):
    # With the recipe there is more to restore: Adam's moments, what taylor has seen, the phase of the head.
    options = {"finetune_structures": 2, "recipe": "finetune", "epochs": 3, "ema_momentum": 0.5, "deterministic": True}
    options["validation_every"] = 1
    settings = {**settings, "run_dir": str(tmp_path / "run")}
    save = Checkpoints.save

    def left_behind(self, epoch, state):
        if epoch == moments[0]:
            shutil.copytree(tmp_path / "run", tmp_path / "interrupted")
        save(self, epoch, state)

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", left_behind)
        whole = trained(settings, **options)
    rows = whole.trained_pool.evaluate()
    measured = {row.structure: row.merit for row in rows if str(row.resolution) == "12"}
    assert measured == pytest.approx(last_measurements(Path(settings["run_dir"])))
    with (Path(settings["run_dir"]) / "results.csv").open(newline="") as file:
        phases = {row["epoch"]: row["phase"] for row in csv.DictReader(file)}
    assert list(phases.values()) == ["head", "search", "joint", "finetune", "finetune"]
    assert (whole.config.optimizer, whole.config.importance, whole.config.warmup_epochs) == (
        "adamw",
        "taylor_adaptive",
        1.0,
    )

    def interrupted_at(last):
        def interrupt(self, epoch, state):
            if epoch == last:
                raise InterruptedTrainingError
            save(self, epoch, state)

        return interrupt

    member = family_members(whole.trained_pool, rows, origin="this test")[-1]
    assert member.measure_parity(member.build(check_output=lambda shape: None)).reasons == ()
    expected = [np.asarray(weight) for weight in [*whole.supernet.weights, *whole.weights.own]]

    # What a kill at the first moment leaves; the whole run itself went on.
    (tmp_path / "run").rename(tmp_path / "whole")
    (tmp_path / "interrupted").rename(tmp_path / "run")
    for last in moments[1:]:
        with monkeypatch.context() as patched:
            patched.setattr(Checkpoints, "save", interrupted_at(last))
            with pytest.raises(InterruptedTrainingError):
                trained(settings, **options)
    resumed = trained(settings, **options)
    for value, actual in zip(expected, [*resumed.supernet.weights, *resumed.weights.own], strict=True):
        np.testing.assert_array_equal(actual, value)
