"""Weights that a layer of the user's uses itself, as tensors of a graph: a scale of channels, positions, a temperature.

In a graph of Keras' a weight can only be that of a layer. `OwnWeight` stands for one while a layer is opened; networks
have a layer of Keras' in its place (`given_by`), so files need no code. A weight has no axis of images, and tensors of
a graph begin with one: here it is in front, of one image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ofar_tf.models.functional_graph import inner_layers
from ofar_tf.models.tensorflow_operators import ELEMENTWISE, REDUCTIONS, item, operation_for

ops = keras.ops

SAME_FOR_ALL = {"OnesLike": 1.0, "ZerosLike": 0.0}
"""Operations that give the same for all images, by their class, and what: `given_by` starts from one."""


class OwnWeight(keras.layers.Layer):
    """Gives a weight, whatever images it gets, as if of one image. It has no configuration, see `given_by`.

    Args:
        weight: The weight.
        told: What the user's code calls it.
    """

    def __init__(self, weight: keras.Variable, *, told: str):
        super().__init__(dtype=weight.dtype)
        self.weight, self.told = weight, told

    def call(self, tensor: Any) -> Any:
        """Gives `[1, *weight.shape]`; of a single number `[1, 1]`."""
        return ops.reshape(self.weight, (1, *(self.weight.shape or (1,))))

    def compute_output_spec(self, tensor: Any) -> keras.KerasTensor:
        """See `call`."""
        return keras.KerasTensor((1, *(self.weight.shape or (1,))), self.weight.dtype)


@dataclass(frozen=True, eq=False)
class Held:
    """What is made of weights alone.

    Attributes:
        tensor: A Keras tensor `[1, *shape]`; of a single number `[1, 1]`.
        shape: Its shape where the user's code has it.
    """

    tensor: Any
    shape: tuple[int, ...]

    def among(self, rank: int) -> Any:
        """Returns it as a Keras tensor that meets tensors of images, with as many axes.

        Raises:
            NotImplementedError: If it is not the same for each image.
        """
        if len(self.shape) > rank or (len(self.shape) == rank and self.shape[0] != 1):
            raise NotImplementedError("a weight that differs between images")
        own = self.shape[1:] if len(self.shape) == rank else self.shape
        return _reshaped(self.tensor, (*(1,) * (rank - 1 - len(own)), *own))

    def alone(self) -> Any:
        """Returns it as a Keras tensor of its shape, which must begin with one image."""
        return self.among(len(self.shape))


def held_by(layer: Any) -> list[OwnWeight]:
    """Returns the weights of a layer that none inside of it has, and that can become those of layers of Keras'."""
    inside = {id(variable) for each in inner_layers(layer) if each is not layer for variable in each.variables}
    own = [each for each in layer.variables if id(each) not in inside and "float" in each.dtype and 0 not in each.shape]
    return [OwnWeight(each, told=name_of(each, layer)) for each in own]


def name_of(weight: Any, layer: Any) -> str:
    """Returns the attribute that a weight is, which says more than the name that Keras gives to one without.

    Args:
        weight: A weight.
        layer: The layer that holds it.
    """
    attributes = [(each, name) for each in inner_layers(layer) for name, value in vars(each).items() if value is weight]
    owner, name = next(iter(attributes), (layer, weight.name))
    return name.lstrip("_") if owner is layer else f"{owner.name}.{name.lstrip('_')}"


def read(weight: OwnWeight, tensor: Any) -> Held:
    """Returns a weight as it is read; any tensor of the graph puts it there."""
    return Held(weight(tensor), tuple(weight.weight.shape))


def applied(operator: Any, inputs: Sequence[Any]) -> Sequence[Any]:
    """Applies the operation of Keras' that computes what an operator does to weights, and to images with them.

    Args:
        operator: An operator of a graph of TensorFlow's.
        inputs: As `operation_for` takes them, some of them `Held`.

    Returns:
        What stands for its outputs.

    Raises:
        NotImplementedError: If that cannot be followed.
    """
    ranks = [len(each.shape) for each in inputs if isinstance(each, keras.KerasTensor)]
    if operator.type in ELEMENTWISE and ranks:
        return operation_for(operator, [each.among(max(ranks)) if isinstance(each, Held) else each for each in inputs])
    if ranks or not (operator.type in ELEMENTWISE or operator.type in _OF_WEIGHTS):
        raise NotImplementedError(f"{operator.type} of a weight")
    shape = tuple(operator.outputs[0].shape)
    if operator.type in ELEMENTWISE:
        whole = [each.among(len(shape) + 1) if isinstance(each, Held) else each for each in inputs]
        (made,) = operation_for(operator, whole)
    else:
        made = _OF_WEIGHTS[operator.type](operator, inputs[0].tensor, len(inputs[0].shape), *inputs[1:])
    return [Held(_reshaped(made, shape or (1,)), shape)]


def _reshaped(tensor: Any, shape: Sequence[int]) -> Any:
    return tensor if tuple(tensor.shape[1:]) == tuple(shape) else ops.reshape(tensor, (-1, *shape))


def _behind(axes: Any, rank: int) -> tuple[int, ...]:
    """Axes of a weight as those of a tensor with one more in front."""
    return tuple(int(axis) % rank + 1 for axis in np.atleast_1d(axes))


def _reduced(operator: Any, value: Any, rank: int, axes: Any) -> Any:
    return getattr(ops, REDUCTIONS[operator.type])(value, axis=_behind(axes, rank), keepdims=True)


def _sliced(operator: Any, value: Any, rank: int, *limits: Any) -> Any:
    """`weight[...]`; of a single entry the axis stays."""
    entries = [slice(e, e + 1 or None) if isinstance(e, int) else e for e in item(operator, *limits) if e is not None]
    return value[(slice(None), *entries)]


def _taken(operator: Any, value: Any, rank: int, numbers: Any, axis: Any) -> Any:
    return ops.take(value, np.asarray(numbers).tolist(), axis=_behind(axis, rank)[0])


def _turned(operator: Any, value: Any, rank: int, order: Any) -> Any:
    return ops.transpose(value, (0, *_behind(order, rank)))


# What is done to weights before they meet images, but for functions of single numbers. Of what they give, axes of one
# entry may be missing.
_OF_WEIGHTS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("Reshape", "ExpandDims", "Squeeze"), lambda operator, value, rank, *rest: value),
    **dict.fromkeys(REDUCTIONS, _reduced),
    "StridedSlice": _sliced,
    "GatherV2": _taken,
    "Transpose": _turned,
}


def minus_one() -> keras.Model:
    """Makes a graph that gives `[1, 1]`, minus one, of any images: what `given_by` starts from."""
    images = keras.Input((None, None, 3))
    return keras.Model(images, ops.negative(ops.ones_like(images[:1, 0, 0, :1])))


def given_by(weight: keras.Variable, *, name: str) -> keras.Model:
    """Makes a graph of Keras' layers that gives a weight.

    A PReLU of minus one is minus its slopes, which have the shape of what it gets. They are ranked by nothing, do not
    decay, are no multiply-adds, and converters know them as the numbers that they are.

    Args:
        weight: The weight. It becomes that of the layer itself, unless it is a single number or not of float32.
        name: For the layer.

    Returns:
        A functional model of `[1, 1]`, minus one.
    """
    shape = tuple(weight.shape)
    layer = keras.layers.PReLU(
        alpha_regularizer=weight.regularizer,
        alpha_constraint=weight.constraint,
        trainable=weight.trainable,
        dtype="float32",
        name=name,
    )
    is_shared = len(shape) > 0 and weight.dtype == "float32"
    if is_shared:
        layer.add_weight = lambda **settings: weight  # It asks for its weight when it is built.
    layer.build((1, *(shape or (1,))))
    if is_shared:
        del layer.add_weight
    else:
        layer.alpha.assign(np.asarray(ops.cast(weight.value, "float32")).reshape(layer.alpha.shape))
    start = keras.Input((1,))
    spread = start if shape in ((), (1,)) else ops.broadcast_to(start, (1, *shape))
    return keras.Model(start, ops.negative(layer(spread)))
