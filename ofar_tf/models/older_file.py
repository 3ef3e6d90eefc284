"""Saved models of older programs, mended so that Keras reads them.

Keras reads few of the files that Keras 2 wrote, `.h5` and `.keras`, and none of its own `.h5` files with operations in
them: it does not know their settings, their names with slashes, their calls of shared and of nested models, and what
TensorFlow functions on tensors had become. What such a file says of its layers is put as Keras says it today; the
weights stay where they are.
"""

import contextlib
import inspect
import json
import logging
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import keras

from ofar_tf.files.scratch_folder import scratch_folder
from ofar_tf.models.older_graph import FUNCTIONS, modern_graph
from ofar_tf.models.tensorflow_function import TensorFlowFunction

_MODELS = {"Functional": "keras.src.models.functional", "Sequential": "keras"}
_OF_APPLICATIONS = {"LayerScale": "keras.src.applications.convnext"}
_RENAMED = {
    **dict.fromkeys(("BatchNormalizationV1", "BatchNormalizationV2"), "BatchNormalization"),
    # Keras has none that change the size of images: in inference these do nothing.
    **dict.fromkeys(("RandomHeight", "RandomWidth"), "Identity"),
}


class SyncBatchNormalization(keras.layers.BatchNormalization):
    """What Keras 2 called such a BatchNormalization; archives have its weights under this name."""


def load_saved(path: str) -> keras.Model:
    """Reads a saved model of any age, without its optimizer and losses.

    Args:
        path: Path of a `.keras` or `.h5` file.

    Returns:
        The model. TensorFlow functions in it are layers that can be opened, see `TensorFlowFunction`.

    Raises:
        ValueError: Or whatever else Keras raises at what it cannot read.
    """
    with _readable(Path(path)) as readable:
        gone = {**dict.fromkeys(FUNCTIONS, TensorFlowFunction), "SyncBatchNormalization": SyncBatchNormalization}
        return keras.models.load_model(readable, custom_objects=gone, compile=False)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[Path]:
    """Yields the path of a file that Keras can read: the same one, or a mended copy."""
    with scratch_folder("older") as folder:
        if zipfile.is_zipfile(path):
            yield _mended_archive(path, folder / "model.keras")
        elif h5py.is_hdf5(path):  # Keras 2 wrote it under the name `.keras` too.
            yield _mended_hdf5(path, folder / "model.h5")
        else:
            yield path


def _mended_archive(path: Path, copy: Path) -> Path:
    with zipfile.ZipFile(path) as given:
        version = str(json.loads(given.read("metadata.json"))["keras_version"])
        if int(version.partition(".")[0]) > 2:
            return path
        described = _mended(json.loads(given.read("config.json")))
        described.pop("compile_config", None)
        with zipfile.ZipFile(copy, "w") as written:
            for name in given.namelist():
                written.writestr(name, json.dumps(described) if name == "config.json" else given.read(name))
    return copy


def _mended_hdf5(path: Path, copy: Path) -> Path:
    with h5py.File(path) as given, h5py.File(copy, "w") as written:
        if "model_config" not in given.attrs:
            return path
        described = given.attrs["model_config"]
        described = json.loads(described.decode() if isinstance(described, bytes) else described)
        for name in given:
            given.copy(name, written)
        written.attrs["model_config"] = json.dumps(_mended(described))
    return copy


def _mended(entry: dict[str, Any]) -> dict[str, Any]:
    """Returns what a file says of a layer, or of a model, as Keras says it today."""
    kind, config = _RENAMED.get(entry["class_name"], entry["class_name"]), entry["config"]
    if kind == "Identity" != entry["class_name"]:
        logging.getLogger(__name__).warning("%s is left out: Keras has none any more.", entry["class_name"])
    if kind == "Model" and "layers" in config:
        kind = "Functional"
    if isinstance(config, list):  # A Sequential model of the oldest programs.
        config = {"name": "sequential", "layers": config}
    if "layers" in config:
        layers = _with_input([_mended(layer) for layer in config["layers"]])
        config = modern_graph({**config, "layers": layers})
    else:
        config = _settings(kind, config)
    mended = {**entry, "class_name": kind, "config": config}
    if kind == "Lambda":  # By its class alone, Keras finds the code in it as older programs wrote that.
        return {name: value for name, value in mended.items() if name != "module"}
    module = _module(kind, config)
    if module == "keras.layers":  # The graph builds it. How, Keras says otherwise today.
        mended.pop("build_config", None)
    return {**mended, "module": module, "registered_name": kind} if module else mended


def _module(kind: str, config: dict[str, Any]) -> str | None:
    """Returns where Keras has a class; `None` for a class of the user's. Operations do not say whether they train."""
    if kind in _MODELS and "layers" in config:
        return _MODELS[kind]
    if "trainable" not in config and kind in _operations():
        return _operations()[kind]
    return "keras.layers" if _layer_class(kind) else _OF_APPLICATIONS.get(kind)


def _layer_class(kind: str) -> Any:
    return SyncBatchNormalization if kind == SyncBatchNormalization.__name__ else getattr(keras.layers, kind, None)


def _settings(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    config = dict(config)
    if isinstance(config.get("layer"), dict):  # Of a wrapper, such as TimeDistributed.
        config["layer"] = _mended(config["layer"])
    if isinstance(config.get("dtype"), dict) and config["dtype"].get("class_name") in ("Policy", "PolicyV1"):
        config["dtype"] = config["dtype"]["config"]["name"]
    if _layer_class(kind) and isinstance(config.get("axis"), list) and len(config["axis"]) == 1:
        config["axis"] = config["axis"][0]
    if kind == "InputLayer" and "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")
    known = _known_settings(kind, config)
    # What is switched on would be missed.
    return {name: value for name, value in config.items() if name in known or (value is True and name != "trainable")}


def _known_settings(kind: str, config: Mapping[str, Any]) -> set[str]:
    """Returns what can be told today: all that Keras takes, else all that the class names. Names are mended later."""
    layer = _layer_class(kind)
    if layer is None or kind == "Lambda":
        return set(config)
    beside = {"name", "batch_input_shape"}
    try:
        layer.from_config({name: value for name, value in config.items() if name not in beside})
    except Exception:  # Keras raises many types.
        for each in layer.__mro__:
            told = inspect.signature(each).parameters if "__init__" in vars(each) else {}
            beside |= set(told)
            if told and "kwargs" not in told:
                break
        return beside
    return set(config)


def _with_input(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Gives a Sequential model an input layer whose first layer says what it takes."""
    first = layers[0]["config"]
    if "batch_input_shape" not in first:
        return layers
    config = {"batch_shape": first.pop("batch_input_shape"), "name": f"{first['name']}_input"}
    return [{"class_name": "InputLayer", "module": "keras.layers", "registered_name": None, "config": config}, *layers]


def _operations() -> dict[str, str]:
    """Returns the modules of Keras' operations, by the names of their classes: Keras exports none."""
    kinds = keras.Operation.__subclasses__()
    return {kind.__name__: kind.__module__ for kind in kinds if kind.__module__.startswith("keras.src.ops.")}
