"""A Keras network as a plain list of steps, with every BatchNorm and rescaling folded into the kernel before it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from ofar_tf.conversion.quantization_aware.layer_steps import (
    AFFINE,
    KERNELS,
    Step,
    read_arithmetic,
    read_operation,
    refusal,
)
from ofar_tf.models.functional_graph import is_functional, replay
from ofar_tf.models.held_weights import SAME_FOR_ALL

_FUSES_RELU = (*KERNELS, "Add")
# TFLite gives these the scale of what they read, or one of its own that depends on nothing.
_SCALE_IS_GIVEN = ("MaxPooling2D", "AveragePooling2D", "ZeroPadding2D", "Cropping2D", "Flatten", "Reshape")
_PAIRWISE = ("Add", "Multiply")
FIXED_RANGES = {"sigmoid": (0.0, 255 / 256), "softmax": (0.0, 255 / 256), "tanh": (-1.0, 127 / 128)}
"""The least and the largest value that TFLite gives these activations, whatever they compute."""


def fold(model: keras.Model) -> tuple[Step, ...]:
    """Reads a classifier as steps that compute its logits.

    Where no kernel comes before a BatchNorm (networks that normalize before they activate), a rescaling (images) or
    arithmetic with a number, it becomes a 1 x 1 depthwise convolution with a bias. Nothing can be folded forward into a
    convolution with `same` padding: the zeros at the border are put in after the normalization. Folding is done in
    float64.

    Args:
        model: A functional model, one image to probabilities by a softmax, which is left out. Nested models are opened.

    Returns:
        The steps in an order in which they can be run. The last gives the logits.

    Raises:
        ValueError: If a layer cannot be run in 8-bit integers, or the model does not end in a softmax.
    """
    steps = _Reader(model).read()
    if not steps or (steps[-1].kind, steps[-1].options.get("activation")) != ("Activation", "softmax"):
        raise ValueError(f"Expected a model that ends in a softmax. Received: {model.name}.")
    return _without_affine(steps[:-1])


def own_ranges(steps: Sequence[Step]) -> list[bool]:
    """Tells which outputs have a range that is measured.

    Args:
        steps: What `fold` gave.

    Returns:
        For each step, False where TFLite computes it together with the ReLU behind it, hands on the range of what it
        reads, or has a fixed range for it.
    """
    uses = Counter(source for step in steps for source in step.inputs)
    ranged = [step.kind not in _SCALE_IS_GIVEN and not _is_fixed(step) for step in steps]
    for step in steps:
        source = step.inputs[0] - 1
        if step.kind == "ReLU" and source >= 0 and steps[source].kind in _FUSES_RELU and uses[source + 1] == 1:
            ranged[source] = False
    return ranged


def _is_fixed(step: Step) -> bool:
    return step.options.get("activation") in FIXED_RANGES


class _Reader:
    """Follows a model's calls and notes them as steps, affine ones still apart."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._steps: list[Step] = []
        self._sources: dict[int, int] = {}
        self._values: dict[int, np.ndarray] = {}  # Of tensors that are the same for all images, made of weights alone.
        self._refused: dict[int, ValueError] = {}  # Tensors that cannot be read, as long as only their shape is.
        self._alive: list[Any] = []  # Tensors are known by their `id`.

    def read(self) -> list[Step]:
        image = keras.Input(batch_shape=self._model.inputs[0].shape)
        self._note(image, 0)
        (output,) = self._run(self._model, [image])
        self._check_read([output])
        return self._steps

    def _run(self, model: keras.Model, inputs: list[Any]) -> list[Any]:
        return replay(model, inputs, call=self._call).outputs

    def _note(self, tensor: Any, source: int) -> None:
        self._sources[id(tensor)] = source
        self._alive.append(tensor)

    def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        if is_functional(operation):
            return keras.tree.pack_sequence_as(operation.output, self._run(operation, keras.tree.flatten(args[0])))
        output = operation(*args, **kwargs)
        self._alive.append(output)
        args = keras.tree.map_structure(lambda operand: self._values.get(id(operand), operand), args)
        operands = keras.tree.flatten(args)
        read = [operand for operand in operands if keras.backend.is_keras_tensor(operand)]
        kind = type(operation).__name__
        if kind in SAME_FOR_ALL:
            self._values[id(output)] = np.full([size or 1 for size in output.shape], SAME_FOR_ALL[kind])
        elif operands and not read:
            self._values[id(output)] = np.asarray(operation(*args, **kwargs))
        else:
            self._check_read(read)
            try:
                self._note(output, self._read(operation, operands, output))
            except ValueError as error:
                self._refused.update(dict.fromkeys(map(id, keras.tree.flatten(output)), error))
        return output

    def _check_read(self, tensors: Sequence[Any]) -> None:
        for tensor in tensors:
            if id(tensor) in self._refused:
                raise self._refused[id(tensor)]

    def _read(self, operation: Any, operands: Sequence[Any], output: Any) -> int:
        inputs = tuple(self._sources[id(operand)] for operand in operands if id(operand) in self._sources)
        if not operands or keras.tree.is_nested(output):
            raise refusal(operation, "which gives several tensors or reads none")
        steps = (
            read_operation(operation, shape=operands[0].shape, output_shape=output.shape)
            if len(inputs) == len(operands)
            else [read_arithmetic(operation, operands)]
        )
        for step in list(steps):
            inputs = (self._append(step, inputs),)
        return inputs[0]

    def _append(self, step: Step, inputs: tuple[int, ...]) -> int:
        """Appends a step, a sum or product of many as several of two: what lies between must be rounded as well."""
        if step.kind in _PAIRWISE and len(inputs) > 2:
            inputs = (self._append(step, inputs[:-1]), inputs[-1])
        self._steps.append(replace(step, inputs=inputs))
        return len(self._steps)


def _without_affine(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Folds affine steps into the kernels before them, or makes depthwise convolutions of them."""
    uses = Counter(source for step in steps for source in step.inputs)
    kept: list[Step] = []
    moved = {0: 0}  # Where the output of each old step is now.
    for index, step in enumerate(steps):
        new = replace(step, inputs=tuple(moved[source] for source in step.inputs))
        source = new.inputs[0] - 1
        if step.kind == AFFINE and source >= 0 and kept[source].kind in KERNELS and uses[step.inputs[0]] == 1:
            kept[source] = _scaled(kept[source], *step.weights)
        else:
            kept += _as_depthwise(new, count=len(kept)) if step.kind == AFFINE else [new]
            source = len(kept) - 1
        moved[index + 1] = source + 1
    return tuple(kept)


def _scaled(step: Step, scale: np.ndarray, offset: np.ndarray) -> Step:
    kernel, bias = (weight.astype(np.float64) for weight in step.weights)
    by_output = scale.reshape(kernel.shape[2:]) if step.kind == "DepthwiseConv2D" else scale
    return replace(step, weights=(kernel * by_output, bias * scale + offset))


def _as_depthwise(step: Step, *, count: int) -> list[Step]:
    """Makes a depthwise convolution of an affine step; of vectors, as images of one pixel, behind `count` steps."""
    (scale, offset), rank = step.weights, step.options["rank"]
    if rank not in (2, 4):
        raise ValueError(
            f"Expected vectors or images to be scaled and shifted. Received: {step.name!r}, of {rank} dimensions."
        )
    options = {"kernel_size": 1, "depth_multiplier": 1}
    depthwise = replace(step, kind="DepthwiseConv2D", options=options, weights=(scale.reshape(1, 1, -1, 1), offset))
    if rank == 4:
        return [depthwise]
    return [
        Step(step.name, "Reshape", step.inputs, {"target_shape": (1, 1, scale.size)}),
        replace(depthwise, inputs=(count + 1,)),
        Step(step.name, "Flatten", (count + 2,)),
    ]
