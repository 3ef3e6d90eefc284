"""Calls of layers as Keras 2 wrote them down, put as Keras does today.

Keras 2 named what a layer is called on by `[layer, call, output]`, counted the calls of a nested model from one, and
put slashes into names. Keras 3 writes dots, as in `x[..., :4]`, into `.h5` files but cannot read them there.
"""

from collections.abc import Mapping
from typing import Any

FUNCTIONS = ("TFOpLambda", "SlicingOpLambda")
"""What Keras 2 called the layers that stand for TensorFlow functions on tensors."""


def modern_graph(config: Mapping[str, Any]) -> dict[str, Any]:
    """Rewrites the layers and the calls of a model.

    Args:
        config: The configuration of a functional or a Sequential model, with `layers`.

    Returns:
        The same for Keras today.
    """
    return _Graph(config["layers"]).rewritten(config)


class _Graph:
    """Which names the layers of a model get, and from which number their calls are counted."""

    def __init__(self, layers: list[Any]):
        names = [str(_name(layer)) for layer in layers]
        self._names: dict[str, str] = {}
        for name in names:
            plain = name.replace("/", "_")
            while plain in self._names.values() or (plain != name and plain in names):
                plain += "_"
            self._names[name] = plain
        self._first = {str(_name(layer)): int("layers" in layer["config"] and _is_older(layer)) for layer in layers}
        self._sequential = {_name(layer) for layer in layers if layer["class_name"] == "Sequential"}

    def rewritten(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the configuration of the model."""
        ends = {name: self._ends(config[name]) for name in ("input_layers", "output_layers") if name in config}
        return {**config, **ends, "layers": [self._layer(each) for each in config["layers"]]}

    def _layer(self, layer: dict[str, Any]) -> dict[str, Any]:
        name = self._names[_name(layer)]
        layer = {**layer, "config": {**layer["config"], "name": name}}
        if "name" in layer:
            layer["name"] = name
        if layer["class_name"] in FUNCTIONS:
            return self._function(layer)
        if _is_older(layer):
            layer["inbound_nodes"] = [self._call(each) for each in layer["inbound_nodes"]]
        elif layer["class_name"] == "GetItem":
            layer["inbound_nodes"] = [_without_dots(each) for each in layer["inbound_nodes"]]
        return layer

    def _call(self, node: list[Any]) -> dict[str, Any]:
        sources, told = _sources(node)
        tensors = [self._tensor(each) for each in sources]
        named = {name: self._tensor(each) if self._is_tensor(each) else each for name, each in told.items()}
        return {"args": tensors if len(tensors) == 1 else [tensors], "kwargs": named}

    def _function(self, layer: dict[str, Any]) -> dict[str, Any]:
        """A function is called once. Where its tensors stand among its arguments, its configuration says."""
        tensors: list[Any] = []

        def placed(value: Any) -> Any:
            if self._is_tensor(value):
                tensors.append(self._tensor(value))
                return {"tensor": len(tensors) - 1}
            if isinstance(value, list):
                return value[2] if value[:1] == ["_CONSTANT_VALUE"] else [placed(each) for each in value]
            return value

        sources, told = _sources(layer["inbound_nodes"][0])
        given = [placed(each) for each in sources]
        arguments = {
            "positional": given if len(given) == 1 else [given],
            "named": {name: placed(each) for name, each in told.items()},
        }
        reshaped = _reshape(layer["config"], arguments)
        kind = reshaped or {"class_name": layer["class_name"], "config": {**layer["config"], **arguments}}
        return {**kind, "name": layer["name"], "inbound_nodes": [{"args": tensors, "kwargs": {}}]}

    def _tensor(self, value: list[Any]) -> dict[str, Any]:
        name, call, output = value
        history = [self._names[name], call - self._first[name], output]
        return {
            "class_name": "__keras_tensor__",
            "config": {"shape": [], "dtype": "float32", "keras_history": history},
        }

    def _is_tensor(self, value: Any) -> bool:
        is_reference = isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)
        return is_reference and value[0] in self._names and all(isinstance(each, int) for each in value[1:])

    def _ends(self, value: Any) -> Any:
        """Inputs or outputs: a single one is no list. Of functional models Keras counts the calls from one here."""
        if self._is_tensor(value):
            name, call, output = value
            return [self._names[name], call - (self._first[name] if name in self._sequential else 0), output]
        if isinstance(value, dict):
            return {name: self._ends(each) for name, each in value.items()}
        return self._ends(value[0]) if len(value) == 1 else [self._ends(each) for each in value]


def _reshape(config: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the operation of Keras' that a reshape to sizes which are numbers is, what becomes of images included."""
    told = dict(zip(("tensor", "shape"), arguments["positional"], strict=False)) | arguments["named"]
    shape = told.get("shape")
    if config.get("function") != "reshape" or not isinstance(shape, list):
        return {}
    if told.get("tensor") != {"tensor": 0} or not all(isinstance(size, int) for size in shape):
        return {}
    operation = {"module": "keras.src.ops.numpy", "class_name": "Reshape", "registered_name": "Reshape"}
    return {**operation, "config": {"name": config["name"], "newshape": shape}}


def _name(layer: Mapping[str, Any]) -> Any:
    return layer.get("name", layer["config"].get("name"))


def _is_older(layer: Mapping[str, Any]) -> bool:
    return any(isinstance(node, list) for node in layer.get("inbound_nodes", []))


def _without_dots(node: dict[str, Any]) -> dict[str, Any]:
    """Puts whole axes for the dots of a call of `x[...]`, as many as they stand for."""
    tensor, key = node["args"]
    listed = key if isinstance(key, list) else []  # `x[0]` has a number alone.
    kinds = [each.get("class_name") if isinstance(each, dict) else each for each in listed]
    if "__ellipsis__" not in kinds:
        return node
    place = kinds.index("__ellipsis__")
    others = sum(kind is not None for kind in kinds) - 1  # Each takes an axis; None makes one.
    whole = {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": None}}
    axes = [whole] * (len(tensor["config"]["shape"]) - others)
    return {**node, "args": [tensor, [*key[:place], *axes, *key[place + 1 :]]]}


def _sources(node: list[Any]) -> tuple[list[list[Any]], dict[str, Any]]:
    """Returns what a layer is called on, and what else it is told."""
    sources = [node] if isinstance(node[0], str) else node
    return [each[:3] for each in sources], sources[-1][3] if len(sources[-1]) > 3 else {}
