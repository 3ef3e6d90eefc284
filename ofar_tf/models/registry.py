"""What `--model=` takes: the name of a built-in network, a saved model, or a function that builds one."""

import difflib
import re
from collections.abc import Callable
from functools import partial

import keras

from ofar_tf.models.mobilenet_v1 import mobilenet_v1
from ofar_tf.models.mobilenet_v2 import mobilenet_v2
from ofar_tf.models.precision import default_policy
from ofar_tf.models.resnet import cifar_resnet, resnet50
from ofar_tf.models.user_code import call_function
from ofar_tf.models.user_model import as_classifier, read_file
from ofar_tf.models.vgg import vgg16
from ofar_tf.models.wide_resnet import wide_resnet

_BUILDERS: dict[str, Callable[..., keras.Model]] = {
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


def build(name: str, *, classes: int, width_multiplier: float = 1.0, small_images: bool = False) -> keras.Model:
    """Builds a built-in network with fresh weights.

    Args:
        name: One of `names()`, or `resnet<6n+2>` (the CIFAR networks, except that `resnet50` is ImageNet's), or
            `wide_resnet_<6n+4>_<width>`.
        classes: Number of classes, at least 2.
        width_multiplier: Positive factor on all channels; must be 1 for a wide ResNet, whose width is in its name.
        small_images: Whether the images have 20 to 64 pixels, so that early strides are left out. The CIFAR and wide
            ResNets are made for such images and stay as they are.

    Returns:
        A functional model from RGB images `[batch, height, width, 3]` in 0..255 to float32 logits `[batch, classes]`.

    Raises:
        ValueError: If the name is unknown or an argument is out of range.
    """
    if name in _BUILDERS:
        return _BUILDERS[name](classes, width_multiplier=width_multiplier, small_images=small_images)
    if match := _CIFAR_RESNET.fullmatch(name):
        return cifar_resnet(classes, depth=int(match[1]), width_multiplier=width_multiplier)
    if match := _WIDE_RESNET.fullmatch(name):
        if width_multiplier != 1:
            raise ValueError(
                f"Expected width_multiplier=1 for {name}, whose width is in its name. "
                f"Received: width_multiplier={width_multiplier}."
            )
        return wide_resnet(classes, depth=int(match[1]), width=int(match[2]))
    raise ValueError(_unknown(name))


def load(reference: str, *, classes: int, width_multiplier: float = 1.0, small_images: bool = False) -> keras.Model:
    """Builds, reads or has the user's code build the network that a reference names.

    A user's model must be functional Keras (a Sequential model with a known input is turned into one), channels last,
    with one input of RGB images and one output of logits. It sees images in 0..255: scaling them is its own business.
    It comes out as `as_supernet` makes it: nested models opened, in float32, of any size that its layers allow.

    Args:
        reference: A name that `build` takes; or the path of a `.keras` file, whose weights are kept; or
            `package.module:function`, where the current directory is searched first. The function is called with
            `classes=`, and with `width_multiplier=` and `small_images=` if it has such parameters.
        classes: Number of classes of the data set.
        width_multiplier: Positive factor on all channels; must be 1 where the model cannot be built anew: for a file,
            and for a function without this parameter.
        small_images: Whether the images have 20 to 64 pixels; nothing changes in a model that does not ask for it.

    Returns:
        A functional model from RGB images `[batch, height, width, 3]` in 0..255 to logits `[batch, classes]`.

    Raises:
        FileNotFoundError: If the `.keras` file does not exist.
        ValueError: If the reference is understood by none of the three ways, or what it gives is no such model.
    """
    if reference.endswith(".keras"):
        if width_multiplier != 1:
            raise ValueError(
                "Expected width_multiplier=1 for a saved model, whose channels are fixed. "
                f"Received: width_multiplier={width_multiplier} with {reference}."
            )
        return as_classifier(read_file(reference), classes=classes, reference=reference)
    if ":" in reference:
        model = call_function(reference, classes=classes, width_multiplier=width_multiplier, small_images=small_images)
        return as_classifier(model, classes=classes, reference=reference)
    with default_policy("float32"):  # Whatever the user's keras.json says.
        return build(reference, classes=classes, width_multiplier=width_multiplier, small_images=small_images)


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), names(), n=1)
    return (
        f"Expected a path ending in .keras, package.module:function or one of {', '.join(names())}. "
        f"Received: {name!r}." + (f" Did you mean {close[0]}?" if close else "")
    )
