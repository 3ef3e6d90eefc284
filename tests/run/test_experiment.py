from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ofar_tf.run.experiment import Experiment
from ofar_tf.run.train_config import TrainConfig


def experiment(**changes: Any) -> Experiment:
    settings: dict[str, Any] = {
        "run_dir": "r",
        "model": "resnet8",
        "pruning_rates": (0.0, 0.3),
        "resolutions": (16, 28, 24),
        "epochs": 2,
        "search_epochs": 1,
        "batch_size": 32,
        "train_split": "train[:100]",
        "augmentation": "pad_and_crop",
    }
    return Experiment(TrainConfig(**{**settings, **changes}))


def image_folder(folder: Path, *splits: str) -> Path:
    for split in splits:
        for colour, name in ((0, "black"), (255, "white")):
            path = folder / split / name / "one.png"
            path.parent.mkdir(parents=True)
            keras.utils.save_img(path, np.full((20, 30, 3), colour, np.uint8), scale=False)
    return folder


def test_the_settings_reach_the_trainer() -> None:
    made = experiment(learning_rate=0.5, momentum=0.8, nested=True, seed=7, search_resolutions=(20,))
    trainer = made.build_trainer(made.build_supernet())
    assert trainer.resolutions == (28, 24, 16)
    assert [budget.rate for budget in trainer.budgets] == [0.0, 0.3]
    assert (trainer.spec.nested, trainer.seed) == (True, 7)
    assert trainer.optimizer.momentum == 0.8
    # 100 images make three whole batches of 32, in each of two epochs.
    assert made.steps_per_epoch == 3
    assert trainer.optimizer._learning_rate.total_steps == 6
    assert float(trainer.optimizer.learning_rate) == 0.5


def test_the_options_of_training_reach_the_trainer() -> None:
    made = experiment(
        method="slimmable",
        label_smoothing=0.1,
        ema_momentum=0.99,
        dtype_policy="mixed_float16",
        steps_per_execution=3,
        search_execution="sliced",
    )
    trainer = made.build_trainer(made.build_supernet())
    assert (trainer.importance, trainer.step.distillation, trainer.task.label_smoothing) == ("uniform", "none", 0.1)
    assert trainer.step.search_execution == "sliced"
    assert trainer.steps_per_execution == 3
    assert len(trainer.pool_weights.own) > 0
    assert isinstance(trainer.optimizer, keras.optimizers.LossScaleOptimizer)
    inner = trainer.optimizer.inner_optimizer
    assert (inner.use_ema, inner.ema_momentum) == (True, 0.99)


@pytest.mark.parametrize(
    "options", [{"color_jitter": 0.4}, {"rand_augment_layers": 2}, {"mixup_alpha": 1.0}, {"cutmix_alpha": 1.0}]
)
def test_augmentations_reach_the_images_and_mixing_the_labels(options: dict[str, Any]) -> None:
    plain, classes = next(iter(experiment().training_batches(start_epoch=0)))
    images, labels = next(iter(experiment(**options).training_batches(start_epoch=0)))
    assert not np.array_equal(images, plain)
    if {"mixup_alpha", "cutmix_alpha"} & set(options):
        assert labels.shape == (32, 10)
        np.testing.assert_allclose(np.sum(labels, axis=-1), 1.0, rtol=1e-5)
    else:
        np.testing.assert_array_equal(labels, classes)


def test_images_leave_the_pipeline_at_the_largest_resolution() -> None:
    made = experiment(eval_batch_size=40, calibration_images=50)
    images, labels = next(iter(made.training_batches(start_epoch=0)))
    assert (images.shape, labels.shape) == ((32, 28, 28, 3), (32,))
    assert [batch.shape[0] for batch, _ in made.calibration_batches()] == [40, 10]
    assert [batch.shape[0] for batch, _ in made.evaluation_batches(images=60)] == [40, 20]
    assert [batch.shape for batch, _ in made.calibration_batches(images=5)] == [(5, 28, 28, 3)]


def test_calibration_sees_the_training_images_unchanged() -> None:
    made = experiment()
    expected = np.stack([np.asarray(image) for image, _ in made.dataset.examples("train[:7]")])
    ((images, _),) = made.calibration_batches(images=7)
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize("name", ["validation", "test", "val"])
def test_the_evaluation_split_is_found_by_its_usual_names(name: str, tmp_path: Path) -> None:
    made = experiment(dataset="image_folder", data_dir=str(image_folder(tmp_path, "train", name)))
    assert made.eval_split == name


def test_a_data_set_that_has_moved_is_found_by_the_later_command(tmp_path: Path) -> None:
    config = experiment(dataset="image_folder", data_dir="/gone").config
    assert Experiment(config, data_dir=str(image_folder(tmp_path, "train", "test"))).eval_split == "test"


def test_initial_weights_are_loaded_from_either_kind_of_file(tmp_path: Path) -> None:
    source = experiment().build_supernet()
    source.save(tmp_path / "a.keras")
    source.save_weights(tmp_path / "a.weights.h5")
    for name in ("a.keras", "a.weights.h5"):
        loaded = experiment(initial_weights=str(tmp_path / name)).build_supernet()
        for weight, expected in zip(loaded.weights, source.weights, strict=True):
            np.testing.assert_array_equal(weight, expected)
