"""One level of float32 layers, whatever a model was built of.

Training, slicing and every conversion see only what comes out of here. Layers keep their weights, and are the very same
layers wherever that is possible; those that must change are copied.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.models.einsum import as_products, is_einsum
from ofar_tf.models.fixed_kernels import fixed_depthwise, has_fixed_kernel, is_depthwise
from ofar_tf.models.free_reshape import free_reshape, is_free_reshape
from ofar_tf.models.functional_graph import graph_of, inner_layers, is_functional, takes_training
from ofar_tf.models.gray_images import RGB_TO_GRAY, rgb_to_gray
from ofar_tf.models.held_weights import OwnWeight, given_by, minus_one
from ofar_tf.models.opening import is_closed, opened, stock_kind, tensors_of
from ofar_tf.models.precision import computes_in_float32, default_policy, is_float, with_policy
from ofar_tf.models.user_code import one_line


def is_flat(model: keras.Model) -> bool:
    """Returns whether a model needs no flattening.

    It is one level of float32 layers, none of which could be opened, without what would be written otherwise (einsums,
    kernels that are numbers), takes and gives plain tensors and batches of any size, and TensorFlow can use its names.
    """
    if isinstance(model, keras.Sequential) or any(is_functional(layer) or is_closed(layer) for layer in model.layers):
        return False
    if keras.tree.is_nested(model.input) or (len(model.outputs) == 1 and keras.tree.is_nested(model.output)):
        return False
    if model.inputs[0].shape[0] is not None:  # A Sequential model that was first called on data has their batch size.
        return False
    if model.inputs[0].dtype != "float32" or not computes_in_float32(model):
        return False
    if any(is_free_reshape(each) or is_einsum(each) or is_depthwise(each) for each in model.operations):
        return False
    if any(each.name != _plain(each.name) for each in (model, *model.operations)):
        return False
    return all(isinstance(each, keras.layers.Layer) or _makes_float32(each) for each in model.operations)


def flattened(model: keras.Model, *, shape: Sequence[int | None], reference: str) -> keras.Model:
    """Opens nested models, makes everything compute in float32, and starts from an input of another shape.

    Args:
        model: A functional model of one input, or a Sequential one with a known input.
        shape: Height, width and channels of the input; three channels for a model of one too, whose first layer then
            makes RGB gray.
        reference: What the user calls the model, for the errors.

    Returns:
        A functional model of one level that computes the same, with the same weights. Layer names stay, except that one
        which is taken already gets the name of its nested model in front, and what TensorFlow cannot use in names, such
        as blanks, becomes an underscore.

    Raises:
        ValueError: If a layer that must be copied cannot be, or computes in another format than float32 anyway.
    """
    with default_policy("float32"):
        image = keras.Input(shape, name=_plain(model.inputs[0].name))
        is_gray = (shape[-1], model.inputs[0].shape[-1]) == (3, 1)
        flattening = _Flattening(reference, image, taken={image.name, RGB_TO_GRAY} if is_gray else {image.name})
        outputs = flattening.run(model, [rgb_to_gray(image) if is_gray else image], prefix="", training=None)
    flattening.copy_weights()
    return keras.Model(image, outputs[0] if len(outputs) == 1 else outputs, name=_plain(model.name))


class _Flattening:
    """The layers of the flat model, each made once however often it is called."""

    def __init__(self, reference: str, image: Any, *, taken: set[str]):
        self._reference, self._image = reference, image
        self._minus_one: list[Any] = []
        self._own: dict[int, tuple[OwnWeight, Any]] = {}  # Weights are known by their `id`.
        self._made: dict[int, Any] = {}
        self._originals: list[Any] = []
        self._taken = taken

    def run(self, model: keras.Model, inputs: Sequence[Any], *, prefix: str, training: bool | None) -> list[Any]:
        """Calls the layers of a model, and those of the models in it, on new tensors."""

        def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
            args, kwargs = keras.tree.map_structure(_in_float32, (args, kwargs))
            # What a nested model is told by its caller, its layers are told.
            if training is not None and kwargs.get("training") is None and takes_training(operation):
                kwargs = {**kwargs, "training": training}
            longer = f"{prefix}{operation.name}_"
            if isinstance(operation, OwnWeight):
                return self._own_weight(operation, prefix)
            if is_functional(operation):
                nested = _arguments_of(operation, args, kwargs)
                return self.run(operation, nested, prefix=longer, training=kwargs.get("training"))
            inside = None if stock_kind(operation) else opened(operation, args, kwargs)
            inside = inside or as_products(operation, args)
            if inside is not None:
                return self.run(inside, tensors_of(args, kwargs), prefix=longer, training=training)
            if _is_idle_cast(operation, args):
                return args[0]
            if is_free_reshape(operation):
                return free_reshape(operation, args[0], name=self._new_name(operation, prefix))
            if has_fixed_kernel(operation, args):
                return fixed_depthwise(operation, args, name=self._new_name(operation, prefix))
            outputs = self._layer(operation, prefix)(*args, **kwargs)
            self._check_formats(operation, outputs)
            return outputs

        return graph_of(model).run(inputs, call=call)

    def _own_weight(self, own: OwnWeight, prefix: str) -> Any:
        """Returns what a layer of Keras' gives that holds a weight, one layer however many use it."""
        if not self._minus_one:
            self._minus_one = self.run(minus_one(), [self._image], prefix=prefix, training=None)
        if id(own.weight) not in self._own:
            graph = given_by(own.weight, name=self._free_name(f"{prefix}{own.told}", prefix))
            (given,) = self.run(graph, self._minus_one, prefix=prefix, training=None)
            self._own[id(own.weight)] = own, given
        return self._own[id(own.weight)][1]

    def copy_weights(self) -> None:
        """Gives the layers that had to be copied the weights, and the frozen weights, of their originals."""
        for original in self._originals:
            copy = self._made[id(original)]
            for source, target in zip(original.weights, copy.weights, strict=True):
                target.assign(np.asarray(keras.ops.cast(source.value, target.dtype)))
                target.trainable = source.trainable
            for layer in inner_layers(copy):
                if isinstance(layer, keras.layers.Normalization):
                    layer.finalize_state()

    def _layer(self, operation: Any, prefix: str) -> Any:
        if id(operation) not in self._made:
            name = self._free_name(operation.name, prefix)
            self._made[id(operation)] = self._as_it_must_be(operation, name)
            self._taken.add(name)
        return self._made[id(operation)]

    def _new_name(self, operation: Any, prefix: str) -> str:
        name = self._free_name(operation.name, prefix)
        self._taken.add(name)
        return name

    def _free_name(self, name: str, prefix: str) -> str:
        plain, longer = _plain(name), _plain(f"{prefix}{name}")
        free, count = plain if plain not in self._taken else longer, 1
        while free in self._taken:
            count += 1
            free = f"{longer}_{count}"
        return free

    def _as_it_must_be(self, operation: Any, name: str) -> Any:
        if isinstance(operation, keras.layers.Layer):
            fits, kind = computes_in_float32(operation), stock_kind(operation) or type(operation)
        else:
            fits, kind = _makes_float32(operation), type(operation)
        if fits and name == operation.name and kind is type(operation):
            return operation
        try:
            config = kind.get_config(operation)
            copy = kind.from_config({**(config if fits else with_policy(config, "float32")), "name": name})
        except Exception as error:  # A user's layer may raise anything.
            raise ValueError(
                "Expected layers that can be copied by their configuration, where they are nested or compute in other "
                f"formats than float32. Received: {self._reference}, {_title(operation)}: {one_line(error)}"
            ) from error
        if isinstance(operation, keras.layers.Layer):
            self._originals.append(operation)
        return copy

    def _check_formats(self, operation: Any, outputs: Any) -> None:
        made = self._made[id(operation)]
        wrong = [tensor.dtype for tensor in keras.tree.flatten(outputs) if is_float(tensor.dtype)]
        if isinstance(made, keras.layers.Layer) and not computes_in_float32(made):
            wrong.append(made.compute_dtype)
        if wrong:
            raise ValueError(
                "Expected a model that can be made to compute in float32. "
                f"Received: {self._reference}, {_title(operation)}, which insists on {wrong[0]}."
            )


def _plain(name: str) -> str:
    """Returns a name that TensorFlow can use. Keras itself, outside of a TensorFlow graph, takes any."""
    plain = re.sub(r"[^A-Za-z0-9_.\\>-]", "_", name)
    return plain if re.match(r"[A-Za-z0-9.]", plain) else f"layer{plain}"


def _is_idle_cast(operation: Any, args: Sequence[Any]) -> bool:
    """Returns whether an operation does nothing but change between formats that are all float32 here."""
    if isinstance(operation, keras.layers.Layer) or type(operation).__name__ != "Cast":
        return False
    to = _format_of(operation)
    return args[0].dtype == "float32" and (to == "float32" or is_float(to))


def _makes_float32(operation: Any) -> bool:
    """Returns whether an operation is told to make no other floats, and has met no number of others."""
    made = [_format_of(operation), *(tensor.dtype for tensor in keras.tree.flatten(operation.output))]
    return not any(map(is_float, made))


def _in_float32(argument: Any) -> Any:
    """Returns an argument, numbers of NumPy's in float32: `x / np.sqrt(16)` makes float64 of x."""
    is_number = isinstance(argument, (np.generic, np.ndarray)) or tf.is_tensor(argument)
    if not is_number or not is_float(keras.backend.standardize_dtype(argument.dtype)):
        return argument
    return np.asarray(argument, np.float32) if np.ndim(argument) else float(argument)


def _format_of(operation: Any) -> str:
    """What a cast, or an operation that makes a tensor of zeros, is told to make."""
    return str(getattr(operation, "dtype", None))


def _arguments_of(model: keras.Model, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    """The tensors that a nested model was called on, in the order of its inputs."""
    given = args[0] if args else kwargs["inputs"]
    if isinstance(given, dict) and not isinstance(model.input, dict):
        return [given[tensor.name] for tensor in model.inputs]
    if isinstance(given, dict):
        given = {key: given[key] for key in model.input}
    return list(keras.tree.flatten(given))


def _title(operation: Any) -> str:
    return f"layer {operation.name!r} of type {type(operation).__name__}"
