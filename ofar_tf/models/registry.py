"""The built-in networks by name."""

import difflib
import re
from collections.abc import Callable
from functools import partial

import keras

from ofar_tf.models.efficientnet_lite import efficientnet_lite
from ofar_tf.models.mobilenet_v1 import mobilenet_v1
from ofar_tf.models.mobilenet_v2 import mobilenet_v2
from ofar_tf.models.resnet import cifar_resnet, resnet50
from ofar_tf.models.vgg import vgg16
from ofar_tf.models.wide_resnet import wide_resnet

_BUILDERS: dict[str, Callable[..., keras.Model]] = {
    **{f"efficientnet_lite{variant}": partial(efficientnet_lite, variant=variant) for variant in range(5)},
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "resnet50": resnet50,
    "resnet50_v1": partial(resnet50, version="v1"),
    "vgg16": vgg16,
}
# Depth, and for wide networks the width, are part of these names; the usual ones are listed, all are understood.
_CIFAR_RESNET = re.compile(r"resnet(\d+)")
_WIDE_RESNET = re.compile(r"wide_resnet_(\d+)_(\d+)")
_USUAL_DEPTHS = ("resnet20", "resnet56", "wide_resnet_16_4", "wide_resnet_28_10")


def names() -> list[str]:
    """Lists the built-in networks.

    Returns:
        The names that `build` takes, sorted. It also takes any other `resnet<6n+2>` and
        `wide_resnet_<6n+4>_<width>`.
    """
    return sorted((*_BUILDERS, *_USUAL_DEPTHS))


def build(
    name: str,
    *,
    classes: int,
    width_multiplier: float = 1.0,
    small_images: bool = False,
    dropout: float | None = None,
) -> keras.Model:
    """Builds a built-in network with fresh weights.

    Args:
        name: One of `names()`, or `resnet<6n+2>` (the CIFAR networks, except that `resnet50` is ImageNet's), or
            `wide_resnet_<6n+4>_<width>`.
        classes: Number of classes, at least 2.
        width_multiplier: Positive factor on all channels; must be 1 for a wide ResNet, whose width is in its name.
        small_images: Whether the images have 20 to 64 pixels, so that early strides are left out. The CIFAR and wide
            ResNets are made for such images and stay as they are.
        dropout: Share of the pooled features that training hides, in [0, 1); by default as the network's authors have
            it: 0.2 or 0.3 for EfficientNet-Lite, none for the others.

    Returns:
        A functional model from RGB images `[batch, height, width, 3]` in 0..255 to float32 logits `[batch, classes]`.

    Raises:
        ValueError: If the name is unknown or an argument is out of range.
    """
    options = {} if dropout is None else {"dropout": dropout}
    if name in _BUILDERS:
        return _BUILDERS[name](classes, width_multiplier=width_multiplier, small_images=small_images, **options)
    if match := _CIFAR_RESNET.fullmatch(name):
        return cifar_resnet(classes, depth=int(match[1]), width_multiplier=width_multiplier, **options)
    if match := _WIDE_RESNET.fullmatch(name):
        if width_multiplier != 1:
            raise ValueError(
                f"Expected width_multiplier=1 for {name}, whose width is in its name. "
                f"Received: width_multiplier={width_multiplier}."
            )
        return wide_resnet(classes, depth=int(match[1]), width=int(match[2]), **options)
    raise ValueError(_unknown(name))


def _unknown(name: str) -> str:
    if name.endswith(".py"):
        return f"Expected a function in {name} that builds the model, {name}:FUNCTION. Received: {name!r}."
    close = difflib.get_close_matches(name.lower(), names(), n=1)
    return (
        "Expected a path ending in .keras or .h5, keras.applications:NAME, package.module:function, file.py:function "
        f"or one of {', '.join(names())}. Received: {name!r}." + (f" Did you mean {close[0]}?" if close else "")
    )
