"""Code that works on TensorFlow's tensors, as operations of Keras': run once in a graph of TensorFlow's, then read.

Much code asks a tensor what only TensorFlow's know (`x.get_shape().as_list()`, `x.shape.rank`), or calls functions that
take no others (`tf.nn`, `tf.keras.backend`). What these do is in a graph of TensorFlow's always one of few operators.
Calls of the layers inside stay calls of them.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ofar_tf.models.functional_graph import inner_layers
from ofar_tf.models.held_weights import Held, OwnWeight, applied, read
from ofar_tf.models.obstacles import ClosedLayerError
from ofar_tf.models.tensorflow_operators import BATCH, is_gelu, operation_for


def run_in_tensorflow(
    function: Callable[..., Any],
    tensors: Sequence[Any],
    *,
    inside: Sequence[Any],
    own: Sequence[OwnWeight] = (),
    free: Sequence[Any] = (),
) -> Any:
    """Runs a function on TensorFlow's tensors, and on Keras tensors what it did to them.

    Args:
        function: Takes one TensorFlow tensor for each of `tensors`.
        tensors: Keras tensors, of batches of any size.
        inside: The layers that are called on Keras tensors where the function calls them; they are built.
        own: The weights that the function may read besides.
        free: See `free_variables`.

    Returns:
        What the function returned, of Keras tensors.

    Raises:
        Exception: Whatever the function raises, and `NotImplementedError` for an operator that Keras has none for.
    """
    given: list[Any] = []
    results: list[Any] = []

    def traced(*arguments: Any) -> list[Any]:
        given.extend(arguments)
        results.append(function(*arguments))
        return [leaf for leaf in keras.tree.flatten(results[0]) if tf.is_tensor(leaf)]

    specs = [tf.TensorSpec([BATCH, *tensor.shape[1:]], tensor.dtype) for tensor in tensors]
    with _recorded(inside) as calls:
        graph = tf.function(traced, autograph=False).get_concrete_function(*specs).graph
    reading = _Reading(graph, calls, dict(zip(map(id, given), tensors, strict=True)), [*own, *free])
    reading.read([leaf for leaf in keras.tree.flatten(results[0]) if tf.is_tensor(leaf)])
    return keras.tree.map_structure(reading.value, results[0])


def touches(function: Callable[..., Any], tensors: Sequence[Any], variables: Sequence[Any]) -> bool:
    """Returns whether a function reads, or changes, one of some variables of Keras'.

    Args:
        function: Takes one TensorFlow tensor for each of `tensors`.
        tensors: Keras tensors, of batches of any size.
        variables: The variables.
    """
    specs = [tf.TensorSpec([BATCH, *tensor.shape[1:]], tensor.dtype) for tensor in tensors]
    graph = tf.function(lambda *given: function(*given), autograph=False).get_concrete_function(*specs).graph
    captured = {id(outside) for outside, _ in graph.captures}
    return any(id(variable.value.handle) in captured for variable in variables)


def free_variables(layer: Any) -> list[Any]:
    """Returns the variables of TensorFlow's that a layer, or one inside of it, has: they are no weights to Keras."""
    attributes = [value for each in inner_layers(layer) for value in vars(each).values()]
    return [value for value in attributes if isinstance(value, tf.Variable)]


@contextlib.contextmanager
def _recorded(layers: Sequence[Any]) -> Iterator[list[Any]]:
    """Notes each call of some layers: layer, arguments as they were given, and outputs that are tensors of no other."""
    calls: list[Any] = []

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = keras.tree.map_structure(tf.identity, kinds[id(layer)].__call__(layer, *args, **kwargs))
        calls.append((layer, args, kwargs, outputs))
        return outputs

    kinds = {id(layer): type(layer) for layer in layers}
    try:
        for layer in layers:  # Python looks for `__call__` in the class alone.
            object.__setattr__(layer, "__class__", type(type(layer).__name__, (type(layer),), {"__call__": call}))
        yield calls
    finally:
        for layer in layers:
            object.__setattr__(layer, "__class__", kinds[id(layer)])


class _Reading:
    """What is known of the tensors of a graph: Keras tensors, or numbers where they depend on no input."""

    def __init__(self, graph: Any, calls: Sequence[Any], known: dict[int, Any], own: Sequence[Any]):
        self._graph = graph
        self._calls = {id(leaf): call for call in calls for leaf in keras.tree.flatten(call[3])}
        self._anchor = next(iter(known.values()))
        handles = {id((each.weight.value if isinstance(each, OwnWeight) else each).handle): each for each in own}
        held = {id(inside): handles.get(id(outside)) for outside, inside in graph.captures}
        numbers = {id(inside): _number(outside) for outside, inside in graph.captures if held[id(inside)] is None}
        self._own = held
        self._given = {inside.name: numbers[id(inside)] for _, inside in graph.captures if inside.dtype != tf.resource}
        self._known = {**known, **held, **numbers}

    def read(self, outputs: Sequence[Any]) -> None:
        """Reads all that some tensors are made of, in the order in which it was made."""
        for operator in self._graph.get_operations():  # Tensors are made of none that write.
            own = any(isinstance(self._own.get(id(tensor)), OwnWeight) for tensor in operator.inputs)
            if own and operator.type != "ReadVariableOp":
                raise NotImplementedError(f"{operator.type} of a weight")
        needed = self._needed(outputs)
        for operator in self._graph.get_operations():
            if operator.name in needed and not all(id(output) in self._known for output in operator.outputs):
                self._follow(operator)

    def value(self, leaf: Any) -> Any:
        known = self._known[id(leaf)] if tf.is_tensor(leaf) else leaf
        return known.alone() if isinstance(known, Held) else known

    def _needed(self, outputs: Sequence[Any]) -> set[str]:
        pending, needed = list(outputs), set()
        while pending:
            tensor = pending.pop()
            if id(tensor) in self._known or tensor.op.name in needed:
                continue
            number = tf.get_static_value(tensor)
            if number is not None:
                self._known[id(tensor)] = _plain(number)
                continue
            needed.add(tensor.op.name)
            pending += [leaf for leaf in self._sources(tensor) if tf.is_tensor(leaf)]
        return needed

    def _sources(self, tensor: Any) -> list[Any]:
        if id(tensor) not in self._calls:
            return _inputs(tensor.op)
        _, args, kwargs, _ = self._calls[id(tensor)]
        return list(keras.tree.flatten((args, kwargs)))

    def _follow(self, operator: Any) -> None:
        if id(operator.outputs[0]) in self._calls:
            layer, args, kwargs, outputs = self._calls[id(operator.outputs[0])]
            args, kwargs = keras.tree.map_structure(self.value, (args, kwargs))
            tensors, made = keras.tree.flatten(outputs), keras.tree.flatten(layer(*args, **kwargs))
        else:
            inputs = [self._known[id(each)] for each in _inputs(operator)]
            tensors, made = operator.outputs, self._made(operator, inputs)
        self._known.update(zip(map(id, tensors), made, strict=True))

    def _made(self, operator: Any, inputs: Sequence[Any]) -> Sequence[Any]:
        if any(each is None for each in inputs):
            raise NotImplementedError(f"{operator.type} of a weight")
        if operator.type == "ReadVariableOp":
            if isinstance(inputs[0], OwnWeight):
                return [read(inputs[0], self._anchor)]
            self._given[operator.outputs[0].name] = _table(inputs[0])
            return [self._given[operator.outputs[0].name]]
        if operator.op_def.is_stateful:
            raise NotImplementedError(f"{operator.type}, which gives other numbers each time")
        if any(isinstance(each, Held) for each in inputs):
            return applied(operator, inputs)
        if any(isinstance(each, keras.KerasTensor) for each in inputs):
            return operation_for(operator, inputs)
        with tf.compat.v1.Session(graph=self._graph) as session:
            return list(map(_plain, session.run(list(operator.outputs), self._given)))


def _inputs(operator: Any) -> list[Any]:
    """Of a reshape only what is reshaped: to which sizes is known without asking, of images of any size too."""
    if operator.type == "Reshape":
        return [operator.inputs[0]]
    if is_gelu(operator):
        return [operator.inputs[0].op.inputs[1]]
    return list(operator.inputs)


def _plain(number: Any) -> Any:
    """A number as Keras' operations take it; of numbers that are the same for each image, those of one."""
    if number.ndim == 0:
        return number.item()
    if len(number) == BATCH and (number == number[:1]).all():
        return number[:1]
    return number


def _table(variable: Any) -> np.ndarray:
    """What is known of a variable that Keras never changes: of a table of places that it stays."""
    if not variable.dtype.is_integer or not variable.shape.rank:
        name = variable.name.split(":")[0]
        raise ClosedLayerError(f"its call reads tf.Variable {name!r}, which is no weight to Keras (add_weight)")
    return variable.numpy()


def _number(captured: Any) -> Any:
    if captured.dtype == tf.resource:  # A weight; of those that are no layer's nothing can be made.
        return None
    return captured.numpy()
