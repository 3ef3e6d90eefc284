"""RetinaNet (Lin et al. 2017, arXiv:1708.02002) on the body of any classification network.

Neck and heads are as wide for every structure of a pool: only the body is pruned, and the kernels of the neck that read
it are cut with it. All layers behind the body have names that `OUTSIDE` fits.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from ofar_tf.models.convolution import initializer
from ofar_tf.models.pyramid_features import feature_maps
from ofar_tf.text.patterns import matches

OUTSIDE = ("detector_*",)
LEVELS = (3, 4, 5, 6, 7)
ANCHORS_PER_CELL = 9
# Top-down maps are doubled and added to those of the body, which are halves of one another if a side has this divisor.
DIVISOR = 32

# What share of all anchors is a thing at the start (section 4.1 of the paper).
_PRIOR = 0.01
# Deltas of centre and size.
_COORDINATES = 4


def detector(
    body: keras.Model,
    *,
    classes: int,
    features: Sequence[str] = (),
    channels: int = 64,
    head_layers: int = 2,
    light: bool = True,
) -> keras.Model:
    """Builds a detector on a classification network, whose last layers are left out.

    A feature pyramid joins maps at strides 8, 16 and 32 (Lin et al. 2016, arXiv:1612.03144), two more convolutions give
    those at 64 and 128. The two heads share their kernels over the five levels; each level has BatchNorms of its own,
    as in EfficientDet (arXiv:1911.09070), because levels differ in their statistics. The bias of the last class layer
    starts such that every anchor is a thing with a probability of one per cent.

    Args:
        body: A flat functional model from RGB images `[B, H, W, 3]` to anything. Its layers are shared with the
            detector.
        classes: Number of classes, at least 1.
        features: The layers that the neck reads, see `feature_maps`.
        channels: Channels of neck and heads.
        head_layers: Convolutions of each head before its last.
        light: Whether 3 x 3 convolutions are depthwise separable.

    Returns:
        A functional model from images of any height and width that `DIVISOR` divides to a dictionary of `classes`,
        float32 logits `[B, A, classes]`, and `boxes`, float32 deltas `[B, A, 4]` in the order (dy, dx, dh, dw). The A
        anchors are ordered by level, row, column and anchor of a cell.

    Raises:
        ValueError: If an argument is out of range, or a feature does not fit.
    """
    if classes < 1:
        raise ValueError(f"Expected at least one class. Received: classes={classes}.")
    if channels < 1 or head_layers < 0:
        raise ValueError(
            "Expected a positive number of channels and no negative number of layers. "
            f"Received: channels={channels}, head_layers={head_layers}."
        )
    own = [layer.name for layer in body.layers if matches(layer.name, OUTSIDE)]
    if own:
        raise ValueError(
            f"Expected a body without layers named {OUTSIDE[0]}, as neck and heads are. Received: {own[0]}."
        )
    convolution = _separable if light else _plain
    images, maps = feature_maps(body, names=features)
    levels = _neck(list(maps.values()), channels, convolution)
    outputs = {}
    for kind, width, bias in (("classes", classes, math.log(_PRIOR / (1 - _PRIOR))), ("boxes", _COORDINATES, 0.0)):
        head = _Head(kind, channels, layers=head_layers, light=light, width=width, bias=bias)
        found = [head(tensor, level) for tensor, level in zip(levels, LEVELS, strict=True)]
        outputs[kind] = keras.layers.Concatenate(axis=1, dtype="float32", name=f"detector_{kind}")(found)
    return keras.Model(images, outputs, name=f"{body.name}_detector")


def _neck(features: Sequence[Any], channels: int, convolution: Callable[..., Any]) -> list[Any]:
    laterals = [
        _norm(_kernel(channels, 1, name=f"detector_lateral_p{level}")(tensor), f"detector_lateral_p{level}")
        for tensor, level in zip(features, LEVELS, strict=False)
    ]
    merged = [laterals[-1]]
    for tensor, level in zip(laterals[-2::-1], LEVELS[1::-1], strict=True):
        doubled = keras.layers.UpSampling2D(name=f"detector_up_p{level}")(merged[0])
        merged.insert(0, keras.layers.Add(name=f"detector_add_p{level}")([doubled, tensor]))
    maps = [
        convolution(tensor, channels, name=f"detector_p{level}") for tensor, level in zip(merged, LEVELS, strict=False)
    ]
    for level in LEVELS[len(maps) :]:
        x = keras.layers.ReLU(name=f"detector_p{level}_relu")(maps[-1])
        maps.append(convolution(x, channels, strides=2, name=f"detector_p{level}"))
    return maps


class _Head:
    """A head: kernels that all levels share, and norms that each has of its own."""

    def __init__(self, kind: str, channels: int, *, layers: int, light: bool, width: int, bias: float):
        self._name, self._width = f"detector_{kind}", width
        self._layers = [
            _shared(channels, light=light, name=f"{self._name}_{index}", use_bias=False)
            for index in range(1, layers + 1)
        ]
        self._last = _shared(
            ANCHORS_PER_CELL * width,
            light=light,
            name=f"{self._name}_last",
            use_bias=True,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            bias_initializer=keras.initializers.Constant(bias),
        )

    def __call__(self, x: Any, level: int) -> Any:
        for index, layers in enumerate(self._layers, start=1):
            for layer in layers:
                x = layer(x)
            name = f"{self._name}_{index}_p{level}"
            x = keras.layers.ReLU(name=f"{name}_relu")(_norm(x, name))
        for layer in self._last:
            x = layer(x)
        return keras.layers.Reshape((-1, self._width), dtype="float32", name=f"{self._name}_p{level}")(x)


def _shared(filters: int, *, light: bool, name: str, **settings: Any) -> list[Any]:
    if not light:
        return [_kernel(filters, 3, name=name, **settings)]
    return [_depthwise(name=f"{name}_depthwise"), _kernel(filters, 1, name=name, **settings)]


def _separable(x: Any, filters: int, *, name: str, strides: int = 1) -> Any:
    x = _depthwise(strides=strides, name=f"{name}_depthwise")(x)
    return _norm(_kernel(filters, 1, name=name)(x), name)


def _plain(x: Any, filters: int, *, name: str, strides: int = 1) -> Any:
    return _norm(_kernel(filters, 3, strides=strides, name=name)(x), name)


def _kernel(filters: int, size: int, *, name: str, **settings: Any) -> Any:
    settings = {"use_bias": False, "kernel_initializer": initializer(), **settings}
    return keras.layers.Conv2D(filters, size, padding="same", name=name, **settings)


def _depthwise(*, name: str, strides: int = 1) -> Any:
    return keras.layers.DepthwiseConv2D(
        3, strides=strides, padding="same", use_bias=False, depthwise_initializer=initializer(), name=name
    )


def _norm(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_bn")(x)
