"""The images of a run that detects; those of classification are in test_experiment."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.run.run_images import RunImages
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.text.size import Size

CONFIG = TrainConfig(
    run_dir="r",
    task="detection",
    dataset="fashion_mnist_scenes",
    pruning_rates=(0.0, 0.5),
    resolutions=(Size(96, 128), Size(48, 64)),
    train_split="train[:8]",
    batch_size=4,
    eval_batch_size=3,
)


def test_a_run_that_detects_trains_and_measures_on_canvases_of_its_largest_size_with_boxes() -> None:
    images = RunImages(CONFIG)
    assert (images.eval_split, images.steps_per_epoch) == ("test", 2)
    for batches, count in (
        (images.training_batches(start_epoch=0), 4),
        (images.evaluation_batches(images=3), 3),
        (images.calibration_batches(images=3), 3),
    ):
        pictures, labels = next(iter(batches))
        assert pictures.shape == (count, 96, 128, 3)
        assert labels["boxes"].shape == (count, 4, 4)
        assert np.isin(labels["classes"], range(-1, 10)).all()


def test_what_varies_boxes_reaches_them() -> None:
    config = dataclasses.replace(CONFIG, flip=False, scale_jitter=(0.5, 0.5), mosaic=0.0)
    _, labels = next(iter(RunImages(config).training_batches(start_epoch=0)))
    np.testing.assert_array_equal(labels["content"], np.full((4, 2), 0.5))
    augmentation = RunImages(dataclasses.replace(config, mosaic=0.25, color_jitter=0.5)).box_augmentation
    assert (augmentation.mosaic, augmentation.color_jitter, augmentation.flip) == (0.25, 0.5, False)


@pytest.mark.parametrize("changes", [{"mixup_alpha": 0.2}, {"class_weight": "balanced"}, {"eval_resize": 256}])
def test_settings_that_boxes_have_no_use_for_are_refused(changes) -> None:
    with pytest.raises(ValueError, match=rf"Expected no --{next(iter(changes))} with --task=detection"):
        dataclasses.replace(CONFIG, **changes)


def test_a_data_set_without_boxes_is_refused_with_those_that_have_some() -> None:
    with pytest.raises(ValueError, match=r"Expected --dataset with boxes \(fashion_mnist_scenes, .*'image_folder'"):
        _ = RunImages(dataclasses.replace(CONFIG, dataset="image_folder", data_dir=".")).dataset


def test_a_split_without_any_box_is_refused(tmp_path) -> None:
    for split, line in (("train", "0 .5 .5 .2 .2"), ("val", "")):
        for kind in ("images", "labels"):
            (tmp_path / kind / split).mkdir(parents=True)
        (tmp_path / "images" / split / "a.png").write_bytes(
            bytes(tf.io.encode_png(np.zeros((8, 8, 3), np.uint8)).numpy())
        )
        (tmp_path / "labels" / split / "a.txt").write_text(line)
    (tmp_path / "classes.txt").write_text("bee\n")
    config = dataclasses.replace(CONFIG, dataset="yolo_folder", data_dir=str(tmp_path), train_split="train")
    with pytest.raises(
        ValueError, match=r"^Expected boxes in the split of eval_split. Received: 'val', none of whose 1 images has one"
    ):
        RunImages(config).check_splits()
