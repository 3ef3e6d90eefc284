"""The small dense network that a mask cuts out of a supernet."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from ofar_tf.models.functional_graph import flat_layers, is_functional, is_stock
from ofar_tf.models.precision import default_policy, with_policy
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.coupled_channels import AmongZeros
from ofar_tf.pruning.functional_model import image_shape, input_layers
from ofar_tf.pruning.fused_batch_norm import FusedBatchNormalization
from ofar_tf.pruning.kept_average import KeptAveragePooling2D
from ofar_tf.pruning.narrowing import flat_operations, narrowed
from ofar_tf.pruning.propagation import COUPLED
from ofar_tf.pruning.slicing import kept_indices, slice_array
from ofar_tf.text.size import Resolution, Size

# The entry of a layer's configuration that says how many channels it makes.
_WIDTH = {
    keras.layers.Conv1D: "filters",
    keras.layers.Conv2D: "filters",
    keras.layers.Conv2DTranspose: "filters",
    keras.layers.SeparableConv2D: "filters",
    keras.layers.Dense: "units",
}

_GROUPED = (keras.layers.Conv1D, keras.layers.Conv2D)

_IN_TRAINING: dict[type, type] = {
    keras.layers.BatchNormalization: FusedBatchNormalization,
    keras.layers.GlobalAveragePooling2D: KeptAveragePooling2D,
}

# They see pixels of up to 255, which 16-bit formats round.
_EXACT = (keras.layers.InputLayer, keras.layers.Rescaling, keras.layers.Normalization)


def build_subnet(
    supernet: keras.Model,
    groups: ChannelGroups,
    mask: ChannelMask,
    *,
    resolution: Resolution | None = None,
    trainable_copy: bool = False,
    dtype_policy: str = "float32",
) -> keras.Model:
    """Builds the network that keeps only a mask's channels. Its weights are fresh: see `copy_weights`.

    Args:
        supernet: The functional model the groups were found in.
        groups: Its channel groups.
        mask: The channels kept.
        resolution: Fixes height and width of the input; by default they stay as in the supernet.
        trainable_copy: Whether BatchNormalization and global averages are swapped for layers that train faster. Such a
            network is for running, not for saving.
        dtype_policy: Number formats that layers compute in, `mixed_bfloat16` or `mixed_float16` for instance;
            what scales pixels stays float32. With `float32`, layers of 16 bits become layers of 32.

    Returns:
        A functional model of the supernet's kinds of layers (except those that are swapped), with its layer names and
        in its order. It is for running: files go by the order that Keras gives, which a model around it has.

    Raises:
        ValueError: If the supernet's input has another size than the resolution.
    """
    keep = np.append(mask.keep, True)
    layers_and_channels = zip(flat_layers(supernet), groups.layer_outputs, strict=True)
    widths = {id(layer): int(keep[ids].sum()) for layer, ids in layers_and_channels if ids is not None}
    settings = {
        id(operation): {name: narrowed(value, keep) for name, value in stated.items()}
        for operation, stated in zip(flat_operations(supernet), groups.settings, strict=True)
    }
    narrower = _Narrower(widths, settings, trainable_copy=trainable_copy, dtype_policy=dtype_policy)
    with default_policy("float32"):
        inputs = keras.tree.map_structure(lambda tensor: _input_like(tensor, resolution), supernet.input)
        subnet = keras.models.clone_model(
            supernet, input_tensors=inputs, clone_function=narrower.clone, call_function=narrower.call
        )
    narrower.put_in_order(subnet, supernet)
    _copy_normalization(supernet, subnet)
    for whole, narrow in zip(supernet.weights, subnet.weights, strict=True):
        narrow.trainable = whole.trainable  # A layer's configuration does not say what is frozen inside of it.
    return subnet


class _Narrower:
    """Makes the narrow copy of each layer, once for layers that are shared, also between nested models."""

    def __init__(
        self,
        widths: Mapping[int, int],
        settings: Mapping[int, Mapping[str | int, Any]],
        *,
        trainable_copy: bool,
        dtype_policy: str,
    ):
        self._widths, self._settings = widths, settings
        self._dtype_policy = dtype_policy
        self._trainable_copy = trainable_copy
        self._clones: dict[int, Any] = {}
        self._arguments: dict[int, dict[int, Any]] = {}
        self._coupling: dict[int, AmongZeros] = {}

    def clone(self, layer: Any) -> Any:
        if id(layer) not in self._clones:
            self._clones[id(layer)] = self._nested(layer) if is_functional(layer) else self._layer(layer)
        return self._clones[id(layer)]

    def call(self, clone: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls a copy that `clone` made, with narrower arguments where they count channels."""
        arguments = list(args)
        for position, value in self._arguments.get(id(clone), {}).items():
            arguments[position] = value
        return self._coupling.get(id(clone), clone)(*arguments, **kwargs)

    def put_in_order(self, subnet: keras.Model, model: keras.Model) -> None:
        """Gives the layers of a copy the order of the model's, by which weights belong to each other.

        Keras puts first what is farther from the end, and what computes among zeros makes ways longer.
        """
        inputs = dict(zip(map(id, input_layers(model)), input_layers(subnet), strict=True))
        copies = [inputs.get(id(each), self._clones.get(id(each))) for each in model.operations]
        place = {id(copy): number for number, copy in enumerate(copies)}
        for name in ("_operations", "_layers"):  # Keras has no public way to put them in order.
            ordered = sorted(getattr(subnet, name), key=lambda each: place.get(id(each), len(place)))
            object.__setattr__(subnet, name, ordered)

    def _layer(self, layer: Any) -> Any:
        config = layer.get_config()
        stated = dict(self._settings.get(id(layer), {}))
        kept = stated.pop(COUPLED, None)
        if id(layer) in self._widths and kept is None:
            _narrow(config, layer, self._widths[id(layer)])
        if is_stock(layer):
            config |= {name: "zeros" for name, value in config.items() if _may_know_shape(name, value)}
        config |= {name: value for name, value in stated.items() if isinstance(name, str)}
        policy = self._policy(layer)
        if policy != _own_policy(layer):
            config = with_policy(config, policy)
        kind: Any = type(layer)
        if self._trainable_copy:
            kind = _IN_TRAINING.get(kind, kind)
        with default_policy(policy):  # What the layer holds is told nothing else.
            clone = kind.from_config(config)
        if kept is not None:
            self._coupling[id(clone)] = AmongZeros(clone, kept)
        self._arguments[id(clone)] = {place: value for place, value in stated.items() if isinstance(place, int)}
        return clone

    def _policy(self, layer: Any) -> str:
        if self._dtype_policy != "float32" and not isinstance(layer, _EXACT):
            return self._dtype_policy
        return _at_least_single(_own_policy(layer))

    def _nested(self, model: keras.Model) -> keras.Model:
        if isinstance(model, keras.Sequential):
            return keras.Sequential([self.clone(layer) for layer in model.layers], name=model.name)
        inputs = [self._input(layer, tensor) for layer, tensor in zip(input_layers(model), model.inputs, strict=True)]
        inputs = keras.tree.pack_sequence_as(model.input, inputs)
        return keras.models.clone_model(model, input_tensors=inputs, clone_function=self.clone, call_function=self.call)

    def _input(self, layer: Any, tensor: Any) -> Any:
        shape = self._settings.get(id(layer), {}).get("batch_shape", tensor.shape)
        return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=layer.name)


def _own_policy(layer: Any) -> str:
    if isinstance(layer, keras.layers.Layer):
        return str(layer.dtype_policy.name)
    dtype = str(getattr(layer, "dtype", None))  # Of an operation that casts, for instance.
    return dtype if "float" in dtype else "float32"


def _at_least_single(policy: str) -> str:
    return "float32" if "float16" in policy else policy


def _narrow(config: dict[str, Any], layer: keras.layers.Layer, width: int) -> None:
    if type(layer) in _WIDTH:
        config[_WIDTH[type(layer)]] = width
    if type(layer) in _GROUPED and layer.groups > 1 and layer.kernel.shape[-2] == 1:
        config["groups"] = layer.groups * width // layer.filters  # As many as channels: a depthwise convolution.


def _may_know_shape(name: str, value: Any) -> bool:
    """Returns whether a setting is an initializer that may be for the shape of the whole weight: an array, or a user's.

    What it would make is replaced by the supernet's weights in any case.
    """
    if not name.endswith("_initializer") or not isinstance(value, dict):
        return False
    is_array = value["class_name"] == "Constant" and not isinstance(value["config"]["value"], (int, float))
    return is_array or value.get("module") != "keras.initializers"


def _copy_normalization(supernet: keras.Model, subnet: keras.Model) -> None:
    """Copies what Normalization layers were adapted to: they compute with constants made of it, not with weights."""
    for whole, narrow in zip(flat_layers(supernet), flat_layers(subnet), strict=True):
        if isinstance(whole, keras.layers.Normalization) and whole.weights:
            narrow.set_weights(whole.get_weights())
            narrow.finalize_state()


def _input_like(tensor: Any, resolution: Resolution | None) -> Any:
    shape, dtype = tensor.shape, _at_least_single(tensor.dtype)
    if resolution is None or len(shape) != 4:
        return keras.Input(batch_shape=shape, dtype=dtype, name=tensor.name)
    return keras.Input(image_shape(tensor, Size.of(resolution))[1:], dtype=dtype, name=tensor.name)


def copy_weights(supernet: keras.Model, subnet: keras.Model, groups: ChannelGroups, mask: ChannelMask) -> None:
    """Assigns to a subnet the kept entries of its supernet's weights, BatchNorm's moving statistics included.

    Args:
        supernet: The whole network.
        subnet: What `build_subnet` made for the same mask.
        groups: The supernet's channel groups.
        mask: The channels kept.
    """
    for whole, narrow, indices in zip(supernet.weights, subnet.weights, kept_indices(groups, mask), strict=True):
        narrow.assign(slice_array(np.asarray(whole), indices))


def extract_subnet(
    supernet: keras.Model, groups: ChannelGroups, mask: ChannelMask, *, resolution: Resolution | None = None
) -> keras.Model:
    """Builds the subnet of a mask and copies its weights.

    Args:
        supernet: The functional model the groups were found in.
        groups: Its channel groups.
        mask: The channels kept.
        resolution: Fixes height and width of the input; by default they stay as in the supernet.

    Returns:
        A functional model with weights of its own.
    """
    subnet = build_subnet(supernet, groups, mask, resolution=resolution)
    copy_weights(supernet, subnet, groups, mask)
    return keras.Model(subnet.input, subnet.output, name=subnet.name)
