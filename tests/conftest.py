"""What every test relies on: a quiet TensorFlow, command lines without processes, tiny networks and their files."""

import contextlib
import gc
import importlib
import io
import os
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from absl import flags as absl_flags

# Read when TensorFlow and Matplotlib are first imported, also by the processes that tests start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import hypothesis
import keras
import numpy as np
import tensorflow as tf

from ofar_tf.checks.verdict import FileChecks
from ofar_tf.conversion import convert_files, lanes
from ofar_tf.conversion.converter import convert
from ofar_tf.conversion.open_network import open_network
from ofar_tf.conversion.worker import run_jobs
from ofar_tf.family.manifest import ManifestHeader, ModelEntry
from ofar_tf.pruning.latency_predictor import LatencyPredictor, PredictionError
from ofar_tf.tasks.classification.accuracy import accuracy
from ofar_tf.tasks.scores import FileScores
from ofar_tf.tflite.tensor_info import TensorInfo

CHECKOUT = Path(__file__).parents[1]
# Numbers are compared here: a GPU may not shorten products.
tf.config.experimental.enable_tensor_float_32_execution(False)
# Laws are tried on so many examples unless a test says otherwise; more: OFAR_TF_EXAMPLES=1000 pytest ...
hypothesis.settings.register_profile("suite", max_examples=int(os.environ.get("OFAR_TF_EXAMPLES", "40")), deadline=None)
hypothesis.settings.load_profile("suite")
# Files whose tests take longest, by far: with two processes, whichever came last would run alone at the end.
SLOW_FIRST = (
    "run/test_training_run.py",
    "test_end_to_end.py",
    "pruning/test_subnet.py",
    "run/test_methods.py",
    "family/test_family_export.py",
    "devices/test_distribution.py",
    "test_killed_export.py",
    "conversion/quantization_aware/test_worker.py",
    "run/test_broken_off_within_an_epoch.py",
    "test_library.py",
    "test_family.py",
    "test_run_matrix.py",
    "test_detection_run.py",
    "training/test_training_options.py",
    "tasks/test_second_task.py",
    "checks/test_layer_errors.py",
    "pruning/test_layer_rules.py",
    "training/test_separate_training.py",
    "test_flagfiles.py",
    "pruning/test_architectures.py",
    "tasks/detection/test_detection_training.py",
    "models/test_applications.py",
    "models/test_registry.py",
    "family/report/test_report_page.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the slow files first; the order within a file stays."""
    places = {CHECKOUT / "tests" / name: place for place, name in enumerate(SLOW_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish() -> None:
    """Leaves what the imports made out of every later search for garbage, and searches less often than Python would."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the repository."""
    return CHECKOUT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The prepared data sets beside the checkout, on machines that have them."""
    path = CHECKOUT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no {path}")
    return path


@pytest.fixture(scope="session")
def parse_command() -> Callable[..., Any]:
    """Turns the flags of a command into its configuration, as the command does."""
    from ofar_tf import flags

    def parse(kind: type[Any], *arguments: str) -> Any:
        values = absl_flags.FlagValues()
        flags.define(kind, values, module="ofar-command")
        return flags.parse(kind, values, ["ofar-command", *arguments])

    return parse


def run_command_here(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as its process would, but in this one: without the seconds that TensorFlow takes to load."""
    from ofar_tf import flags

    main = importlib.import_module(f"ofar_tf.{name}").main
    printed, errors, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        try:
            with flags.one_line_errors():
                config = flags.read(get_type_hints(main)["config"], arguments)
            status = main(config) or 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
            errors.write(f"{end.code}\n" if isinstance(end.code, str) else "")
    return subprocess.CompletedProcess([name, *arguments], status, printed.getvalue(), errors.getvalue())


@pytest.fixture(scope="session")
def run_command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command by its name and flags in this process; gives its status and what it printed."""
    return run_command_here


def build_tiny_network(resolution: int = 16, *, classes: int = 3, seed: int = 0) -> keras.Model:
    """A network with every kind of layer that our models export: BatchNorm, depthwise, residual add, pooling."""
    layers = keras.layers
    random = np.random.default_rng(seed)
    image = keras.Input((resolution, resolution, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = stem = layers.ReLU(6)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.ReLU(6)(layers.BatchNormalization()(x))
    x = layers.BatchNormalization()(layers.Conv2D(8, 1, use_bias=False)(x))
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, stem]))
    model = keras.Model(image, layers.Softmax()(layers.Dense(classes)(x)))
    for weight in model.weights:
        # Statistics and scales that are neither 0 nor 1, so that nothing passes by accident.
        positive = weight.name in ("gamma", "moving_variance")
        weight.assign(random.uniform(0.5, 1.5, weight.shape) if positive else random.normal(0, 0.7, weight.shape))
    return model


def make_images(resolution: int = 16, *, count: int = 24, seed: int = 1) -> np.ndarray:
    """Float images in 0..255, each with a colour of its own and some noise; none reaches 0 or 255 exactly."""
    random = np.random.default_rng(seed)
    colours = random.uniform(20, 235, (count, 1, 1, 3))
    return np.clip(colours + random.normal(0, 15, (count, resolution, resolution, 3)), 1, 254).astype(np.float32)


@pytest.fixture(scope="session")
def make_network() -> Callable[..., keras.Model]:
    return build_tiny_network


@pytest.fixture(scope="session")
def make_images_at() -> Callable[..., np.ndarray]:
    return make_images


@pytest.fixture(scope="session")
def network() -> keras.Model:
    return build_tiny_network()


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return make_images()


@pytest.fixture(scope="session")
def labels(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """The classes that Keras gives, so Keras's accuracy is 1."""
    return network.predict(images, verbose=0).argmax(-1)


@pytest.fixture(scope="session")
def converted(
    network: keras.Model, images: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Gives the network's file of a precision, converted at the first call."""
    folder = tmp_path_factory.mktemp("converted")

    def file(precision: str) -> Path:
        path = folder / f"{precision}.tflite"
        if not path.exists():
            path.write_bytes(convert(network, precision=precision, representative_images=images))
        return path

    return file


class InProcessWorker:
    """Stands in for a worker process and converts in this one, without the seconds that TensorFlow takes to load."""

    def __init__(self, module: str, **_: Any):
        self.module, self.networks = module, 0

    def begin(self, jobs: Any) -> None:
        self.networks += 1
        self.answers = run_jobs(jobs, open_network)

    def answer(self) -> str | None:
        return next(self.answers)

    def end(self) -> None:
        pass


class InProcessLanes:
    """Stands in for `Lanes`: what is given is converted at once, in this thread, which may not share Keras' state."""

    def __init__(self, **_: Any):
        self.answers: deque[tuple[int, str | None]] = deque()

    def __enter__(self) -> "InProcessLanes":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def give(self, network: Any) -> None:
        worker = lanes.WorkerProcess(lanes.PLAIN)
        worker.begin([job for _, job in network])
        self.answers.extend((index, worker.answer()) for index, _ in network)

    def answer(self) -> tuple[int, str | None]:
        return self.answers.popleft()


@pytest.fixture(scope="module")
def in_process() -> Iterator[None]:
    """Converts in this process, where processes are not what is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "WorkerProcess", InProcessWorker)
        patch.setattr(convert_files, "Lanes", InProcessLanes)
        yield


@pytest.fixture(scope="session")
def make_entry() -> Callable[..., ModelEntry]:
    """Makes a manifest entry by hand, of a file that passed unless `reasons` are given."""

    def make(name: str, *, macs: int, top1: float, reasons: tuple[str, ...] = (), **changes: Any) -> ModelEntry:
        quantization = changes.setdefault("quantization", "float32")
        checks = FileChecks(
            passed=not reasons,
            reasons=reasons,
            runs=True,
            finite=True,
            builtin_only=True,
            stateless=True,
            static_shape=True,
            operators={"CONV_2D": 3},
            images=32,
            max_difference=1e-7,
            argmax_agreement=1.0,
            tolerance=1e-3,
        )
        values: dict[str, Any] = {
            "id": name,
            "path": f"{name}/{name}_{quantization}.tflite",
            "sha256": "0" * 64,
            "bytes": 1000,
            "structure": "small",
            "rate": 0.5,
            "resolution": 16,
            "macs": macs,
            "params": 100,
            "input": TensorInfo("image", "float32", (1, 16, 16, 3), (0.0, 255.0)),
            "output": TensorInfo("probabilities", "float32", (1, 3), (0.0, 1.0)),
            "labels": "labels.txt",
            "metrics": FileScores.beside(accuracy(top1=top1, top5=1.0, images=200), keras=top1),
            "checks": checks,
        }
        return ModelEntry(**{**values, **changes})

    return make


@pytest.fixture(scope="session")
def make_predictor() -> Callable[..., LatencyPredictor]:
    """Makes what is known of a device that takes a millisecond for each million multiply-adds, and nothing else."""

    def make(*kinds: str, **changes: Any) -> LatencyPredictor:
        names = ("macs", "padded_macs", "weights", "activations")
        coefficients = {f"{kind}.{name}": 1e-6 * (name == "macs") for kind in kinds for name in names}
        values: dict[str, Any] = {
            "schema_version": 1,
            "device": "Pixel 8",
            "threads": 2,
            "precision": "float32",
            "network": "some_network",
            "resolutions": ("28",),
            "measured_ms": (0.1, 20.0),
            "error": PredictionError(0.03, 0.07, 40),
            "coefficients": {"operators": 0.0, **coefficients},
            "versions": {},
            "created": "2026-01-02T03:04:05+00:00",
        }
        return LatencyPredictor(**{**values, **changes})

    return make


@pytest.fixture(scope="session")
def header() -> ManifestHeader:
    return ManifestHeader(
        versions={"ofar_tf": "0.1.0"},
        git="abc123",
        dataset={"name": "fashion_mnist_mini", "eval_split": "test"},
        seed=7,
        created="2026-01-02T03:04:05+00:00",
    )
