"""The same network in Keras 2, which tensorflow-model-optimization works on.

`tf_keras` and tensorflow-model-optimization are imported here and in `quantization_aware` only, which runs in a process
of its own: the import turns `tf.keras` into Keras 2 for the whole process (DESIGN section 4).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.quantization.keras import QuantizeConfig, QuantizeWrapperV2, quantizers

from ofar_tf.conversion.quantization_aware.folded_network import FIXED_RANGES, own_ranges
from ofar_tf.conversion.quantization_aware.layer_steps import KERNELS, Step


def use_standard_keras_2() -> None:
    """Does to Keras 2 what `models.keras_settings` does to Keras 3: each reads `keras.json` itself."""
    tf_keras.backend.set_floatx("float32")
    tf_keras.backend.set_image_data_format("channels_last")
    tf_keras.backend.set_epsilon(1e-7)


def build(steps: Sequence[Step], *, shape: tuple[int, ...], dtype: str = "float32") -> tf_keras.Model:
    """Builds the float network.

    Args:
        steps: What `ofar_tf.conversion.quantization_aware.folded_network.fold` gave.
        shape: Of an image, (r, r, 3).
        dtype: In what it computes, `float32` or `float64`.

    Returns:
        A model from images [batch, r, r, 3] in 0..255 to logits [batch, K], with the weights of the steps.
    """
    image = tf_keras.Input(shape, dtype=dtype)
    tensors = [image]
    for index, step in enumerate(steps):
        inputs = [tensors[source] for source in step.inputs]
        tensors.append(_call(_layer(step, index=index, shape=inputs[0].shape, dtype=dtype), inputs))
    return tf_keras.Model(image, tensors[-1])


def build_quantized(steps: Sequence[Step], *, shape: tuple[int, ...]) -> tf_keras.Model:
    """Builds the network that rounds as its 8-bit file will.

    Kernels are rounded to 8 bits, symmetric, for each output channel (for the whole matrix in dense layers, whose
    per-channel form the converter does not take), to the largest value they hold in this step. Activations are rounded
    to the range they ever had while `training=True`, which begins empty; those of a sigmoid or tanh to the range that
    TFLite gives them. Images keep their 0..255 exactly.

    Args:
        steps: What `ofar_tf.conversion.quantization_aware.folded_network.fold` gave.
        shape: Of an image, (r, r, 3).

    Returns:
        A model as `build` gives, whose constant layers are not trainable. It is of use once it has been called with
        `training=True` on real images.
    """
    image = tf_keras.Input(shape)
    pixels = tf_keras.layers.Activation("linear", name="pixels")
    tensors = [QuantizeWrapperV2(pixels, _Rounding(output=_image_range()))(image)]
    for index, (step, ranged) in enumerate(zip(steps, own_ranges(steps), strict=True)):
        inputs = [tensors[source] for source in step.inputs]
        rounding = _Rounding(kernel=_KERNEL_NAMES.get(step.kind), output=_output_range(step, ranged=ranged))
        layer = _layer(step, index=index, shape=inputs[0].shape)
        tensors.append(_call(QuantizeWrapperV2(layer, rounding), inputs))
    return tf_keras.Model(image, tensors[-1])


def _call(layer: Any, inputs: Sequence[Any]) -> Any:
    return layer(inputs[0] if len(inputs) == 1 else list(inputs))


def _layer(step: Step, *, index: int, shape: tf.TensorShape, dtype: str = "float32") -> Any:
    # Names must be unique; one layer may be several steps.
    options = dict(step.options)
    if options.get("activation") == "hard_silu":  # Keras 2 does not know it.
        options["activation"] = _hard_silu
    layer = getattr(tf_keras.layers, step.kind)(**options, name=f"step{index}_{step.name}", dtype=dtype)
    layer.trainable = not step.constant
    if step.kind in KERNELS:
        # Before it is wrapped: a wrapper puts rounded tensors in the place of the variables.
        layer.build(shape)
        layer.set_weights(step.weights)
    return layer


def _hard_silu(x: tf.Tensor) -> tf.Tensor:
    # In this form the converter sees HARD_SWISH, which rounds what it reads and what it gives, and nothing between.
    return x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0)


def _image_range() -> Any:
    return _fixed_range(0.0, 255.0)


def _output_range(step: Step, *, ranged: bool) -> Any:
    """Returns how what a step gives is rounded; None where it is not, or has the range of what is read."""
    if ranged:
        return quantizers.AllValuesQuantizer(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
    fixed = FIXED_RANGES.get(step.options.get("activation", ""))
    return _fixed_range(*fixed) if fixed else None


def _fixed_range(low: float, high: float) -> Any:
    return quantizers.FixedQuantizer(num_bits=8, init_min=low, init_max=high, narrow_range=False)


class _DepthwiseQuantizer(quantizers.LastValueQuantizer):
    """Rounds a depthwise kernel [h, w, C, M] for each of its C x M outputs; the library's own sees M channels."""

    def build(self, tensor_shape: tf.TensorShape, name: str, layer: Any) -> dict[str, Any]:
        height, width, channels, multiplier = tensor_shape
        return super().build(tf.TensorShape([height, width, 1, channels * multiplier]), name, layer)

    def __call__(self, inputs: Any, training: bool, weights: dict[str, Any], **kwargs: Any) -> Any:
        height, width, channels, multiplier = inputs.shape
        flat = tf.reshape(inputs, [height, width, 1, channels * multiplier])
        return tf.reshape(super().__call__(flat, training, weights, **kwargs), inputs.shape)


_KERNEL_NAMES = {"Conv2D": "kernel", "DepthwiseConv2D": "depthwise_kernel", "Dense": "kernel"}


class _Rounding(QuantizeConfig):
    """What of a layer is rounded: its kernel, its output, both or neither."""

    def __init__(self, *, kernel: str | None = None, output: Any = None) -> None:
        self._kernel = kernel
        self._output = output

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        if self._kernel is None:
            return []
        kind = _DepthwiseQuantizer if self._kernel == "depthwise_kernel" else quantizers.LastValueQuantizer
        per_axis = not isinstance(layer, tf_keras.layers.Dense)
        quantizer = kind(num_bits=8, per_axis=per_axis, symmetric=True, narrow_range=True)
        return [(getattr(layer, self._kernel), quantizer)]

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        for weight in quantize_weights:
            setattr(layer, self._kernel or "", weight)

    def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        return []

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        pass

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        return [self._output] if self._output else []

    def get_config(self) -> dict[str, Any]:
        return {"kernel": self._kernel, "output": self._output}
