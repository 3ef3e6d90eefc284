"""A detector goes the way of a pool: searched, trained at two sizes, measured."""

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.evaluation.pool_accuracy import PoolImages
from ofar_tf.evaluation.subnet_table import read_subnets, write_subnets
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.models.detector import OUTSIDE, detector
from ofar_tf.pruning.channel_mask import MaskRules
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.search.pool_spec import PoolSpec
from ofar_tf.tasks.detection.anchors import Anchors
from ofar_tf.tasks.detection.task import Detection
from ofar_tf.training.once_for_all import OnceForAll
from ofar_tf.training.step_spec import StepSpec

SIZES = [(64, 96), (32, 64)]


def build() -> OnceForAll:
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 255)(image)
    for stage in range(1, 6):
        x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name=f"stage{stage}_conv")(x)
        x = layers.ReLU(name=f"stage{stage}_relu")(layers.BatchNormalization()(x))
    body = keras.Model(image, x, name="body")
    names = [f"stage{stage}_relu" for stage in (3, 4, 5)]
    network = detector(body, classes=2, features=names, channels=8, head_layers=0)
    pool = PoolSpec.of(pruning_rates=[0.0, 0.5], resolutions=SIZES, rules=MaskRules(2, 2), outside=OUTSIDE)
    model = OnceForAll(network, pool=pool, step=StepSpec(), task=Detection(2, Anchors(3.0)))
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9))
    return model


def batches() -> tf.data.Dataset:
    """A bright square on black, in one half the first class and in the other the second."""
    random, count = np.random.default_rng(0), 16
    images, boxes = np.zeros((count, 64, 96, 3), np.float32), np.zeros((count, 2, 4), np.float32)
    classes = np.full((count, 2), -1, np.int32)
    for index in range(count):
        top, left = int(random.integers(0, 40)), int(random.integers(0, 72))
        images[index, top : top + 24, left : left + 24] = 255
        boxes[index, 0] = top / 64, left / 96, (top + 24) / 64, (left + 24) / 96
        classes[index, 0] = left >= 36
    labels = {
        "boxes": boxes,
        "classes": classes,
        "crowd": np.zeros((count, 2), bool),
        "image_size": np.full((count, 2), [64, 96], np.float32),
        "content": np.ones((count, 2), np.float32),
        "image_id": np.arange(count),
    }
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)


def test_a_detector_is_searched_trained_and_measured(tmp_path):
    whole = build()
    history = whole.fit(
        batches().repeat(), steps_per_epoch=2, epochs=2, verbose=0, callbacks=[MaskSearch(epochs=1)]
    ).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert "right_class" in history and "student_loss" in history

    images = PoolImages(calibration=batches, evaluation=batches)
    trained = TrainedPool(
        whole.supernet, whole.groups, whole.pool, whole.resolutions, images, whole.task, whole.pool_weights
    )
    rows = trained.evaluate().rows
    assert [(row.structure, str(row.resolution)) for row in rows[:2]] == [("rate0", "64x96"), ("rate0", "32x64")]
    assert all(0 <= row.scores.values["ap"] <= 1 and row.images == 16 for row in rows)
    # The body's five convolutions: 3 of 8 channels at half the size, then 8 of 8.
    assert rows[0].macs == 9 * (3 * 8 * 32 * 48 + 64 * (16 * 24 + 8 * 12 + 4 * 6 + 2 * 3))
    # Neck and heads cost the same for all structures, but for the kernels that read the body.
    assert rows[0].total_macs > rows[0].macs and rows[-1].total_macs > rows[-1].macs
    write_subnets(tmp_path / "subnets.csv", rows)
    assert read_subnets(tmp_path / "subnets.csv", whole.task.metric) == list(rows)
