"""Two more tasks, written here and nowhere else, go the whole way that classification goes.

One predicts two numbers, the other a map whose size follows the image's, so that its lessons change shape between a
step's networks.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from ofar_tf.conversion.converter import convert
from ofar_tf.conversion.stock_networks import family_members
from ofar_tf.data import resize_batch
from ofar_tf.evaluation.pool_accuracy import PoolImages
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.pruning.channel_mask import MaskRules
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.search.pool_spec import PoolSpec
from ofar_tf.tasks.task import Metric, Scores
from ofar_tf.training.callbacks import SaveCheckpoint
from ofar_tf.training.checkpoints import Checkpoints, restore_training
from ofar_tf.training.once_for_all import OnceForAll
from ofar_tf.training.step_spec import StepSpec

METRIC = Metric(
    key="error",
    title="mean squared error",
    columns={"error": "error"},
    progress="squared_error",
    higher_is_better=False,
)


class MeanSquaredError:
    """The error over all images and numbers."""

    def __init__(self) -> None:
        self._sums = np.zeros(2)

    def update(self, outputs: np.ndarray, labels: np.ndarray) -> None:
        if outputs.ndim == 4:
            labels = np.asarray(resize_batch(tf.constant(labels), tf.constant(outputs.shape[1:3])))
        self._sums += [len(outputs), np.mean((outputs - labels) ** 2, axis=tuple(range(1, outputs.ndim))).sum()]

    def share(self, total: Any) -> None:
        self._sums = total(self._sums)

    def result(self) -> Scores:
        images, error = self._sums
        return Scores(METRIC, {"error": error / images}, int(images))


@dataclass(frozen=True)
class Regression:
    """Numbers `[B, 2]`, or maps `[B, h, w, 1]`."""

    metric = METRIC

    def checked(self, batches: tf.data.Dataset, size: Any) -> tf.data.Dataset:
        return batches

    def targets(self, labels: Any, sample_weight: Any = None) -> Any:
        return {"numbers": tf.cast(labels, tf.float32)}

    def targets_at(self, targets: Any, size: Any) -> Any:
        numbers = targets["numbers"]
        # A map of an image is a quarter as high and wide as the image.
        return {"numbers": resize_batch(numbers, size // 4) if numbers.shape.rank == 4 else numbers}

    def loss(self, outputs: Any, targets: Any, lesson: Any, *, from_labels: Any) -> Any:
        taught = lesson[0]
        if outputs.shape.rank == 4:
            taught = resize_batch(taught, tf.shape(outputs)[1:3])
        return tf.reduce_mean((outputs - tf.where(from_labels, targets["numbers"], taught)) ** 2)

    def lesson(self, outputs: Any, size: Any) -> Any:
        return (tf.stop_gradient(outputs),)

    def progress(self, lesson: Any, targets: Any) -> Any:
        numbers = targets["numbers"]
        if numbers.shape.rank == 4:
            numbers = resize_batch(numbers, tf.shape(lesson[0])[1:3])
        return tf.reduce_mean((lesson[0] - numbers) ** 2)

    def evaluator(self, size: Any) -> MeanSquaredError:
        return MeanSquaredError()

    def shipped(self, outputs: Any) -> Any:
        return keras.layers.Rescaling(100.0, name="per_cent")(outputs)

    def finished(self, outputs: np.ndarray) -> np.ndarray:
        return 100.0 * outputs


def build_network(kind: str) -> keras.Model:
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 255)(image)
    for filters in (12, 16):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(1, 1, name="map")(x) if kind == "map" else layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, x)


def build(kind: str) -> OnceForAll:
    pool = PoolSpec.of(pruning_rates=[0.0, 0.25, 0.5], resolutions=[16, 12, 8], rules=MaskRules(2, 2))
    model = OnceForAll(build_network(kind), pool=pool, step=StepSpec(networks_at_once=2), task=Regression())
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9))
    return model


def data(kind: str) -> tf.data.Dataset:
    """Images of one colour each; what is to be predicted follows from the colour."""
    random = np.random.default_rng(0)
    colours = random.uniform(0, 255, (32, 1, 1, 3)).astype(np.float32)
    images = np.broadcast_to(colours, (32, 16, 16, 3)).copy()
    red, green = colours[:, 0, 0, 0] / 255, colours[:, 0, 0, 1] / 255
    labels = np.broadcast_to(red[:, None, None, None], (32, 16, 16, 1)) if kind == "map" else np.stack([red, green], 1)
    return tf.data.Dataset.from_tensor_slices((images, labels.astype(np.float32))).batch(16)


def fit(model: OnceForAll, kind: str, *callbacks: Any, epochs: int, start: int = 0) -> dict[str, list[float]]:
    batches = data(kind).repeat()
    return model.fit(
        batches, steps_per_epoch=2, initial_epoch=start, epochs=epochs, verbose=0, callbacks=list(callbacks)
    ).history


@pytest.mark.parametrize("kind", ["numbers", "map"])
def test_a_task_of_ones_own_searches_trains_resumes_is_measured_and_becomes_a_file(kind, tmp_path):
    whole = build(kind)
    history = fit(whole, kind, MaskSearch(epochs=2), epochs=8)
    assert "squared_error" in history
    assert history["squared_error"][-1] < 0.5 * history["squared_error"][0]

    halted, search = build(kind), MaskSearch(epochs=2)
    fit(halted, kind, search, SaveCheckpoint(Checkpoints(tmp_path), search), epochs=4)
    resumed, search = build(kind), MaskSearch(epochs=2)
    epochs, state = Checkpoints(tmp_path).latest()
    restore_training(resumed, search, state)
    fit(resumed, kind, search, epochs=8, start=epochs)
    for expected, actual in zip(whole.supernet.get_weights(), resumed.supernet.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected)

    images = PoolImages(calibration=lambda: data(kind), evaluation=lambda: data(kind))
    trained = TrainedPool(
        whole.supernet, whole.groups, whole.pool, whole.resolutions, images, whole.task, whole.pool_weights
    )
    evaluation = trained.evaluate()
    rows = evaluation.rows
    assert [(row.structure, str(row.resolution)) for row in rows[:3]] == [("rate0", size) for size in ("16", "12", "8")]
    assert all(row.scores.images == 32 and row.scores.values["error"] < 0.2 for row in rows)
    assert {row.macs for row in rows if row.pareto} >= {min(row.macs for row in rows)}

    chosen = evaluation.of([row for row in rows if (row.structure, row.resolution) == ("rate50", 12)])
    (member,) = family_members(trained, chosen, origin="of this test")
    model = member.model()
    parity = member.measure_parity(model)
    assert max(parity.masked_sliced, parity.sliced_keras) < 1e-3
    interpreter = Interpreter(model_content=convert(model, precision="float32"))
    interpreter.allocate_tensors()
    pictures, _ = next(iter(data(kind)))
    image = resize_batch(pictures[:1], 12)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert found.shape == ((1, 3, 3, 1) if kind == "map" else (1, 2))
    np.testing.assert_allclose(found, model(image), rtol=1e-3, atol=1e-2)
