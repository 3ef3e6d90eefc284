from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ofar_tf.run import run_steps
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
        "learning_rate": 0.1,
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
    assert [str(size) for size in trainer.resolutions] == ["28", "24", "16"]
    assert [budget.rate for budget in trainer.budgets] == [0.0, 0.3]
    assert (trainer.spec.nested, trainer.seed) == (True, 7)
    assert trainer.optimizer.momentum == 0.8
    assert trainer.task.student_labels == 0.5
    # 100 images make three whole batches of 32, in each of two epochs.
    assert made.images.steps_per_epoch == 3
    assert trainer.optimizer._learning_rate.total_steps == 6
    assert float(trainer.optimizer.learning_rate) == 0.5


def test_an_accelerator_runs_several_steps_at_once_unless_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for accelerated, steps in ((False, 1), (True, 3)):  # An epoch has three.
        monkeypatch.setattr(run_steps, "is_accelerated", lambda now=accelerated: now)
        assert experiment().steps.per_execution == steps
    assert experiment(train_split="train[:1280]").steps.per_execution == 10
    assert experiment(steps_per_execution=3).steps.per_execution == 3


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


def test_the_options_of_the_search_reach_the_trainer_and_the_penalty_is_what_shrinks_gammas_as_wanted() -> None:
    made = experiment(
        assistants="all",
        search_networks="sandwich",
        student_labels=0.25,
        gamma_init=0.5,
        gamma_shrink=0.3,
        epochs=4,
        search_epochs=2,
        learning_rate=0.5,
        momentum=0.8,
        warmup_epochs=1.5,
        class_weight="balanced",
    )
    trainer = made.build_trainer(made.build_supernet())
    assert (trainer.step.assistants, trainer.step.search_networks) == ("all", "sandwich")
    assert trainer.task.student_labels == 0.25
    ranked = {index for group in trainer.groups.groups for index in group.gammas}
    assert ranked
    assert {float(value) for index in ranked for value in trainer.supernet.weights[index].numpy()} == {0.5}
    # Six steps at a rate of 0.5 and a momentum of 0.8 move a weight by 6 * 0.5 / 0.2 = 15 times its gradient.
    assert trainer.step.gamma_l1 == pytest.approx(0.02)
    assert any("shrink a gamma by 0.3 over" in note for note in made.notes(trainer))
    # Three steps an epoch: the rate rises over 1.5 epochs, that is four steps (4.5 rounded to even).
    assert trainer.optimizer._learning_rate.warmup_steps == 4
    assert float(trainer.optimizer.learning_rate) == pytest.approx(0.125)
    counts = np.bincount([int(label) for _, label in made.images.dataset.examples("train[:100]")], minlength=10)
    assert trainer.task.class_weights == pytest.approx(100 / (10 * counts))


@pytest.mark.parametrize(
    "options", [{"color_jitter": 0.4}, {"rand_augment_layers": 2}, {"mixup_alpha": 1.0}, {"cutmix_alpha": 1.0}]
)
def test_augmentations_reach_the_images_and_mixing_the_labels(options: dict[str, Any]) -> None:
    plain, classes = next(iter(experiment().images.training_batches(start_epoch=0)))
    images, labels = next(iter(experiment(**options).images.training_batches(start_epoch=0)))
    assert not np.array_equal(images, plain)
    if {"mixup_alpha", "cutmix_alpha"} & set(options):
        assert labels.shape == (32, 10)
        np.testing.assert_allclose(np.sum(labels, axis=-1), 1.0, rtol=1e-5)
    else:
        np.testing.assert_array_equal(labels, classes)


def test_images_leave_the_pipeline_at_the_largest_resolution() -> None:
    made = experiment(eval_batch_size=40, calibration_images=50)
    images, labels = next(iter(made.images.training_batches(start_epoch=0)))
    assert (images.shape, labels.shape) == ((32, 28, 28, 3), (32,))
    assert [batch.shape[0] for batch, _ in made.images.calibration_batches()] == [40, 10]
    assert [batch.shape[0] for batch, _ in made.images.evaluation_batches(images=60)] == [40, 20]
    assert [batch.shape for batch, _ in made.images.calibration_batches(images=5)] == [(5, 28, 28, 3)]


def test_calibration_sees_the_training_images_unchanged() -> None:
    made = experiment()
    expected = np.stack([np.asarray(image) for image, _ in made.images.dataset.examples("train[:7]")])
    ((images, _),) = made.images.calibration_batches(images=7)
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize("name", ["validation", "test", "val"])
def test_the_evaluation_split_is_found_by_its_usual_names(name: str, tmp_path: Path) -> None:
    made = experiment(dataset="image_folder", data_dir=str(image_folder(tmp_path, "train", name)))
    assert made.images.eval_split == name


def test_a_data_set_that_has_moved_is_found_by_the_later_command(tmp_path: Path) -> None:
    config = experiment(dataset="image_folder", data_dir="/gone").config
    assert Experiment(config, data_dir=str(image_folder(tmp_path, "train", "test"))).images.eval_split == "test"


def test_initial_weights_are_loaded_from_either_kind_of_file(tmp_path: Path) -> None:
    source = experiment().build_supernet()
    source.save(tmp_path / "a.keras")
    source.save_weights(tmp_path / "a.weights.h5")
    for name in ("a.keras", "a.weights.h5"):
        loaded = experiment(initial_weights=str(tmp_path / name)).build_supernet()
        for weight, expected in zip(loaded.weights, source.weights, strict=True):
            np.testing.assert_array_equal(weight, expected)


def test_a_folder_without_splits_is_trained_on_four_fifths_and_measured_on_the_rest(tmp_path: Path) -> None:
    for index in range(5):
        image_folder(tmp_path / str(index), "all")
        for name in ("black", "white"):
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            source = tmp_path / str(index) / "all" / name / "one.png"
            # No two files are copies; what stands behind the end of an image does no harm.
            (tmp_path / "photos" / name / f"{index}.png").write_bytes(source.read_bytes() + bytes([index]))
    made = experiment(dataset="image_folder", data_dir=str(tmp_path / "photos"), train_split="train", batch_size=8)
    made.images.check_splits()
    assert (made.images.steps_per_epoch, made.images.eval_split) == (1, "validation")
    assert len(made.images.data_notes) == 1
    assert "divided 80/20 into train (8 images) and validation (2 images)" in made.images.data_notes[0]


def test_a_folder_without_the_name_of_its_data_set_is_not_passed_over(tmp_path: Path) -> None:
    photos = image_folder(tmp_path, "train", "test")
    line = rf"^Expected --dataset beside --data_dir: fashion_mnist_mini .*\. Received: data_dir={photos}; it is a "
    with pytest.raises(ValueError, match=f"{line}folder for --dataset=image_folder without --task=detection\\.$"):
        experiment(data_dir=str(photos)).images.check_data_dir()
    with pytest.raises(ValueError, match=r"Received: data_dir=/gone\.$"):
        experiment(data_dir="/gone").images.check_data_dir()
    experiment(dataset="image_folder", data_dir=str(photos)).images.check_data_dir()
    experiment().images.check_data_dir()


def test_a_run_among_the_classes_would_be_one_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = image_folder(tmp_path, "train", "test")
    images = experiment(dataset="image_folder", data_dir=str(photos)).images
    for place in (photos / "runs" / "first", photos):
        with pytest.raises(
            ValueError, match=r"^Expected --run_dir outside of --data_dir, .*\. Received: data_dir=.*\.$"
        ):
            images.check_place(place)
    monkeypatch.chdir(photos)
    with pytest.raises(ValueError, match=rf"Received: data_dir={photos}, which holds run_dir=runs\.$"):
        images.check_place(Path("runs"))
    for elsewhere in (Path("../runs"), tmp_path.parent / "runs", photos / ".runs" / "first"):
        images.check_place(elsewhere)
    experiment().images.check_place(Path("runs"))


def test_training_and_evaluation_share_no_image_but_calibration_may_share_with_both() -> None:
    experiment(train_split="train[:80%]", eval_split="train[80%:]", calibration_split="train").images.check_splits()
    with pytest.raises(ValueError, match="Expected train_split and eval_split to share no example"):
        experiment(train_split="train", eval_split="train[:10]+test").images.check_splits()


def test_choices_are_made_on_the_selection_split_which_shares_no_image_with_the_others() -> None:
    made = experiment(selection_split="train[100:130]", eval_split="test[:20]")
    made.images.check_splits()
    chosen = np.concatenate([images for images, _ in made.images.selection_batches()])
    expected = np.concatenate([images for images, _ in made.images._plain_batches("train[100:130]", images=None)])
    np.testing.assert_array_equal(chosen, expected)
    assert len(chosen) == 30 and made.images.selection_split == "train[100:130]"
    assert experiment().images.selection_split is None
    for overlapping in ("train[90:130]", "test[10:30]"):
        with pytest.raises(
            ValueError, match=r"^Expected .* and .* to share no example\. Received: .* which share 10\.$"
        ):
            experiment(selection_split=overlapping, eval_split="test[:20]").images.check_splits()
