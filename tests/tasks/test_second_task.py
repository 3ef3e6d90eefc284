"""Two more tasks, written here and nowhere else, go the whole way that classification goes.

One predicts two numbers, the other a map whose size follows the image's, so that its lessons change shape between a
step's networks; its images are no squares.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from jsonschema import validate
from rich.console import Console

from ofar_tf.conversion.images import FamilyImages
from ofar_tf.data import resize_batch
from ofar_tf.evaluation.pool_accuracy import PoolImages
from ofar_tf.evaluation.subnet_table import columns, read_subnets, write_subnets
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.family.export_spec import ExportSpec
from ofar_tf.family.family_export import export_pool
from ofar_tf.family.family_folder import FamilyFolder
from ofar_tf.family.family_table import print_family
from ofar_tf.family.manifest import ManifestHeader, read_manifest
from ofar_tf.family.manifest_schema import manifest_schema
from ofar_tf.pruning.channel_mask import MaskRules
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.search.pool_spec import PoolSpec
from ofar_tf.shipping.reasons import reasons
from ofar_tf.shipping.selection import Limits, choose
from ofar_tf.tasks.interface import Shipped
from ofar_tf.tasks.task import Metric, Scores
from ofar_tf.text.size import Size
from ofar_tf.tflite.network_file import TFLiteNetwork
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
    shares=False,
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
class Regression(Shipped):
    """Numbers `[B, 2]`, or maps `[B, h, w, 1]`."""

    name = "regression"
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

    def judged(self, outputs: np.ndarray) -> np.ndarray:
        return outputs / 100.0


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


SIZES = {"numbers": [16, 12, 8], "map": [(16, 24), (12, 16), (8, 12)]}


def build(kind: str) -> OnceForAll:
    pool = PoolSpec.of(pruning_rates=[0.0, 0.25, 0.5], resolutions=SIZES[kind], rules=MaskRules(2, 2))
    step = StepSpec(search_networks="sandwich", networks_at_once=2)
    model = OnceForAll(build_network(kind), pool=pool, step=step, task=Regression())
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9))
    return model


def data(kind: str) -> tf.data.Dataset:
    """Images of one colour each; what is to be predicted follows from the colour."""
    random = np.random.default_rng(0)
    colours = random.uniform(0, 255, (32, 1, 1, 3)).astype(np.float32)
    height, width = (16, 24) if kind == "map" else (16, 16)
    images = np.broadcast_to(colours, (32, height, width, 3)).copy()
    red, green = colours[:, 0, 0, 0] / 255, colours[:, 0, 0, 1] / 255
    labels = (
        np.broadcast_to(red[:, None, None, None], (32, height, width, 1))
        if kind == "map"
        else np.stack([red, green], 1)
    )
    return tf.data.Dataset.from_tensor_slices((images, labels.astype(np.float32))).batch(16)


def fit(model: OnceForAll, kind: str, *callbacks: Any, epochs: int, start: int = 0) -> dict[str, list[float]]:
    batches = data(kind).repeat()
    return model.fit(
        batches, steps_per_epoch=2, initial_epoch=start, epochs=epochs, verbose=0, callbacks=list(callbacks)
    ).history


@pytest.mark.parametrize("kind", ["numbers", "map"])
def test_a_task_of_ones_own_searches_trains_resumes_is_measured_and_becomes_a_file(kind, tmp_path, request):
    if kind == "map":  # That processes which know nothing of the task convert its networks, the other kind shows.
        request.getfixturevalue("in_process")
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
    names = {"numbers": ("16", "12", "8"), "map": ("16x24", "12x16", "8x12")}[kind]
    assert [(row.structure, str(row.resolution)) for row in rows[:3]] == [("rate0", name) for name in names]
    assert all(row.scores.images == 32 and row.scores.values["error"] < 0.2 for row in rows)
    assert {row.macs for row in rows if row.pareto} >= {min(row.macs for row in rows)}
    assert columns(METRIC) == ["structure", "rate", "resolution", "macs", "params", "error", "images", "pareto"]
    write_subnets(tmp_path / "subnets.csv", rows)
    assert read_subnets(tmp_path / "subnets.csv", METRIC) == list(rows)

    small = Size.of(SIZES[kind][1])
    chosen = evaluation.of([row for row in rows if row.resolution == small and row.structure != "rate25"])
    with FamilyFolder(tmp_path / "export") as folder:
        exported = export_pool(
            trained,
            chosen,
            folder=folder,
            labels=(),
            header=ManifestHeader.now(versions={}, git=None, dataset={"name": "colours", "origin": "here"}, seed=0),
            images=FamilyImages.resized(images, training=lambda images: ()),
            spec=ExportSpec(precisions=("float32", "float16"), workers=1),
            console=Console(quiet=True),
        )
    assert exported.failures == ()
    check_family(tmp_path / "export", kind=kind, size=names[1])


def check_family(folder: Path, *, kind: str, size: str) -> None:
    """The documents of the family know the task's number, and what chooses files does."""
    manifest = read_manifest(folder / "manifest.json")
    written = json.loads((folder / "manifest.json").read_text())
    assert (manifest.task, manifest.metric) == ("regression", METRIC) and written["task"] == "regression"
    assert list(written["models"][0]["metrics"]) == ["error", "images", "keras_error"]
    assert str(written["models"][0]["resolution"]) == size and "labels.txt" not in {p.name for p in folder.iterdir()}
    validate(written, manifest_schema())
    rounded = [model for model in manifest.models if model.quantization == "float16"]
    assert all(model.checks.margin.verdict == "passed" and model.checks.accuracy is None for model in rounded)

    best = min(manifest.models, key=lambda model: (model.metrics.best, model.macs))
    winner, *others = choose(manifest, Limits(), prefer="accuracy")
    assert winner.metrics.best == best.metrics.best
    assert f"{best.metrics.best:.4g} error" in next(reasons(manifest, Limits(), winner=winner, others=others))
    least = min(model.macs for model in manifest.models)
    assert choose(manifest, Limits(min_score=1.0, max_macs=least))[0].rate == 0.5
    with pytest.raises(ValueError, match=r"with min_score=0.0. Received: none of 4 files; nearest is .*error="):
        choose(manifest, Limits(min_score=0.0))
    page, card = (folder / "report.html").read_text(), (folder / "README.md").read_text()
    assert "Mean squared error against cost" in page and "networks for regression" in page and "Top-1" not in page
    assert card.startswith("# A family of networks for regression\n") and "top-1" not in card.lower()
    assert (folder / "files.csv").read_text().startswith("file,id,precision,error,selection_error,keras_error,change,")
    screen = io.StringIO()
    print_family(manifest, console=Console(file=screen, width=200))
    assert "Keras error" in screen.getvalue() and "error of the Keras subnet" in screen.getvalue()

    file = TFLiteNetwork(folder / best.path)
    assert best.id.endswith(f"_r{size}") and (best.output.name, best.output.range) == ("output", None)
    image = resize_batch(next(iter(data(kind)))[0][:1], best.resolution)
    model = keras.saving.load_model((folder / best.path).with_name(f"{best.id}.keras"))
    np.testing.assert_allclose(file.run(np.asarray(image)), model(image), rtol=1e-3, atol=1e-2)
