"""Weights from elsewhere for a network that was built here: taken where they fit, and what stayed new is said."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from ofar_tf.models.user_code import one_line
from ofar_tf.models.user_model import read_file

Layers = Mapping[str, Sequence[np.ndarray]]


@dataclass(frozen=True)
class Transfer:
    """What became of a network's layers with weights.

    Attributes:
        taken: Names of the layers that got weights.
        fresh: Names of those that keep the ones they were built with.
    """

    taken: tuple[str, ...]
    fresh: tuple[str, ...]

    def describe(self, source: str) -> str:
        """Returns a sentence for the user.

        Args:
            source: Where the weights come from.
        """
        few = ", ".join(self.fresh[:3]) + (f" and {len(self.fresh) - 3} others" if len(self.fresh) > 3 else "")
        new = f"begin anew: {few}" if self.fresh else "begin anew: none"
        return f"{len(self.taken)} of {len(self.taken) + len(self.fresh)} layers start from {source}; {new}."


def take_weights(model: keras.Model, layers: Layers, *, source: str) -> Transfer:
    """Gives a network's layers the weights of another network's.

    Networks whose layers have the same weights' shapes in the same order are taken for the same network, whatever their
    layers are called; the last layer, which depends on the classes, need not fit or be there. Otherwise layers
    correspond by name.

    Args:
        model: The network; its weights are replaced where others fit.
        layers: The weights of each layer of the other network by its name, in the order of the graph; each in the order
            of `keras.Layer.weights`.
        source: Where they come from, for the error.

    Returns:
        What was taken.

    Raises:
        ValueError: If less than half of the layers would get weights: then the networks are different ones.
    """
    own = dict(weighted_layers(model))
    matched = _by_order(own, layers) or _by_name(own, layers)
    if 2 * len(matched) < len(own):
        raise ValueError(
            f"Expected weights of a network like {model.name}. Received: {source}, which fits {len(matched)} of its "
            f"{len(own)} layers."
        )
    for name, weights in matched.items():
        own[name].set_weights(list(weights))
    return Transfer(tuple(matched), tuple(name for name in own if name not in matched))


def _by_order(own: Mapping[str, keras.Layer], layers: Layers) -> Layers:
    pairs = list(zip(own.items(), layers.values(), strict=False))
    fits = [_shapes(layer.weights) == _shapes(weights) for (_, layer), weights in pairs]
    if not len(own) - 1 <= len(layers) <= len(own) or not all(fits[: len(own) - 1]):
        return {}
    return {name: weights for ((name, _), weights), fit in zip(pairs, fits, strict=True) if fit}


def _by_name(own: Mapping[str, keras.Layer], layers: Layers) -> Layers:
    return {
        name: layers[name]
        for name, layer in own.items()
        if name in layers and _shapes(layer.weights) == _shapes(layers[name])
    }


def _shapes(weights: Sequence[Any]) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in weights]


def weighted_layers(model: keras.Model) -> Iterator[tuple[str, keras.Layer]]:
    """Yields the layers that have weights of their own, with their names, nested models opened.

    Args:
        model: Any built Keras model.
    """
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from weighted_layers(layer)
        elif layer.weights:
            yield layer.name, layer


@dataclass(frozen=True)
class WeightFile:
    """A file of weights.

    Attributes:
        path: A `.keras` or `.weights.h5` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If its name ends otherwise.
    """

    path: str

    def __post_init__(self) -> None:
        if not self.path.endswith((".keras", ".weights.h5")):
            raise ValueError(f"Expected weights in a .keras or .weights.h5 file. Received: {self.path!r}.")
        if not Path(self.path).is_file():
            raise FileNotFoundError(f"Expected a file of weights. Received: {self.path}, which does not exist.")

    def give_to(self, model: keras.Model) -> Transfer:
        """Gives a network the weights of this file, as far as they fit.

        Args:
            model: The network; its weights are replaced.

        Returns:
            What was taken.

        Raises:
            ValueError: If Keras cannot read the file, or it is that of a different network.
        """
        if self.path.endswith(".keras"):
            layers = {name: layer.get_weights() for name, layer in weighted_layers(read_file(self.path))}
            return take_weights(model, layers, source=self.path)
        return _give_checkpoint(self.path, model)

    def holds_layer(self, name: str) -> bool:
        """Returns whether the network of this file has a layer of that name that has no weights.

        Args:
            name: The layer's name, which must be the one that Keras gives to the first layer of its class.
        """
        if self.path.endswith(".keras"):
            return any(layer.name == name for layer in read_file(self.path).layers)
        with h5py.File(self.path) as file:
            return f"layers/{name}" in file


def _give_checkpoint(path: str, model: keras.Model) -> Transfer:
    """Lets Keras read a `.weights.h5`, which knows layers by their classes and order; what it leaves is marked."""
    before = model.get_weights()
    model.set_weights([np.full_like(w, np.nan) if np.issubdtype(w.dtype, np.floating) else w for w in before])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns of each layer that does not fit, which is reported here.
            model.load_weights(path, skip_mismatch=True)
    except Exception as error:  # Keras raises many types; whatever it was, the file does not fit.
        model.set_weights(before)
        raise ValueError(f"Expected weights that Keras can read. Received: {path}: {one_line(error)}") from error
    after = model.get_weights()
    model.set_weights(before)
    read = {id(w): value for w, value in zip(model.weights, after, strict=True) if not np.isnan(value).all()}
    layers = {
        name: [read[id(weight)] for weight in layer.weights]
        for name, layer in weighted_layers(model)
        if all(id(weight) in read for weight in layer.weights)
    }
    return take_weights(model, layers, source=path)
