"""Networks of `keras.applications` without their tops, made into classifiers of stock layers for images of any size."""

import difflib
import inspect
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ofar_tf.models.classifier import classifier, images
from ofar_tf.models.user_code import one_line

PREFIX = "keras.applications:"


@dataclass(frozen=True)
class _Scaling:
    """What a family's `preprocess_input`, or the layers it starts with, do to a pixel: for red, green and blue."""

    scale: float | Sequence[float]
    offset: float | Sequence[float]
    reads_bgr: bool = False


_SYMMETRIC = _Scaling(1 / 127.5, -1.0)
_STANDARDIZED = _Scaling(
    tuple(1 / (255 * deviation) for deviation in (0.229, 0.224, 0.225)),
    tuple(-mean / deviation for mean, deviation in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))),
)
_CENTRED = _Scaling(1.0, (-123.68, -116.779, -103.939), reads_bgr=True)
_SCALINGS = {
    **dict.fromkeys(("mobilenet", "mobilenet_v2", "mobilenet_v3", "inception_v3", "inception_resnet_v2"), _SYMMETRIC),
    **dict.fromkeys(("xception", "nasnet", "resnet_v2"), _SYMMETRIC),
    **dict.fromkeys(("densenet", "efficientnet", "efficientnet_v2"), _STANDARDIZED),
    **dict.fromkeys(("resnet", "vgg16", "vgg19"), _CENTRED),
    **dict.fromkeys(("EfficientNetV2S", "EfficientNetV2M", "EfficientNetV2L"), _Scaling(1 / 128, -1.0)),
}
_PREPROCESSING = (keras.layers.Rescaling, keras.layers.Normalization)


def application_names() -> list[str]:
    """Lists what `application` builds: all of `keras.applications` but ConvNeXt, which has layers of its own.

    Returns:
        Their names, sorted.
    """
    found = vars(keras.applications).items()
    return sorted(name for name, value in found if inspect.isfunction(value) and _scaling(name) is not None)


def _scaling(name: str) -> _Scaling | None:
    family = getattr(keras.applications, name).__module__.rsplit(".", 1)[-1]
    return _SCALINGS.get(name, _SCALINGS.get(family))


def reads_bgr(name: str) -> bool:
    """Returns whether Keras' weights of a network expect blue, green, red; the networks built here take RGB.

    Args:
        name: One of `application_names()`.
    """
    scaling = _scaling(name)
    return scaling is not None and scaling.reads_bgr


def application(
    name: str, *, classes: int, width_multiplier: float = 1.0, dropout: float | None = None, weights: str | None = None
) -> keras.Model:
    """Builds a network of `keras.applications` with a head of its own.

    The family's preprocessing is one Rescaling layer. Networks that Keras feeds with BGR images get RGB here, and their
    first kernel is turned round instead. Layers that are not stock Keras (InceptionResNetV2's scaled sum) are written
    as stock ones.

    Args:
        name: One of `application_names()`.
        classes: Number of classes, at least 2.
        width_multiplier: Keras' `alpha`, for the MobileNets; must be 1 for the others.
        dropout: Share of the pooled features that training hides, in [0, 1); 0.2 by default.
        weights: `imagenet` for those that Keras has, downloaded where they are not in its cache; or the path of such a
            file without the top; `None` for fresh ones.

    Returns:
        A functional model from RGB images `[batch, height, width, 3]` in 0..255 to float32 logits `[batch, classes]`.

    Raises:
        ValueError: If the name is unknown, or an argument or the weights do not fit.
    """
    if name not in application_names():
        close = difflib.get_close_matches(name, application_names(), n=1)
        raise ValueError(
            f"Expected {PREFIX} and one of {', '.join(application_names())}. Received: {name!r}."
            + (f" Did you mean {close[0]}?" if close else "")
        )
    scaling = _scaling(name)
    assert scaling is not None
    inputs, x = images(scale=scaling.scale, offset=scaling.offset)
    if weights is None:
        # Only the graph of Keras' own network is wanted: nothing is allocated in this scope.
        with keras.StatelessScope(initialize_variables=False):
            built = _built(name, width_multiplier=width_multiplier, weights=None)
    else:
        built = _built(name, width_multiplier=width_multiplier, weights=weights)
    body = _copied(built, inputs=inputs, scaled=x, with_weights=weights is not None)
    if weights and scaling.reads_bgr:
        reverse_colours(body)
    return classifier(
        inputs, body.outputs[0], classes=classes, name=name.lower(), dropout=0.2 if dropout is None else dropout
    )


def reverse_colours(model: keras.Model) -> None:
    """Makes a network that was trained on BGR images one that takes RGB, by turning its first kernel round.

    Args:
        model: A functional model that begins with a convolution.
    """
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    first.kernel.assign(np.asarray(first.kernel)[:, :, ::-1])


def _built(name: str, *, width_multiplier: float, weights: str | None) -> keras.Model:
    builder = getattr(keras.applications, name)
    parameters = inspect.signature(builder).parameters
    options: dict[str, Any] = {"include_preprocessing": False} if "include_preprocessing" in parameters else {}
    if "alpha" in parameters:
        options["alpha"] = width_multiplier
    elif width_multiplier != 1:
        raise ValueError(f"Expected width_multiplier=1 for {name}. Received: width_multiplier={width_multiplier}.")
    # NASNet compares static sizes when it is built; the others must not know any.
    size = 331 if name.startswith("NASNet") else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MobileNet warns that its weights are those for 224 pixels.
            return builder(include_top=False, weights=weights, input_shape=(size, size, 3), **options)
    except Exception as error:  # Keras raises bare exceptions, of what it downloads and of files that do not fit.
        raise ValueError(
            f"Expected weights of {name} without its top, which Keras can read. Received: {weights}: {one_line(error)}"
        ) from error


def _copied(model: keras.Model, *, inputs: Any, scaled: Any, with_weights: bool) -> keras.Model:
    """Copies an application onto an input of any size whose pixels are scaled already."""
    copies: list[tuple[Any, Any]] = []
    counts: Counter[str] = Counter()

    def copy(layer: Any) -> Any:
        config = layer.get_config()
        if _is_numbered(layer):
            # Keras counts on over all networks of a process; group names must not depend on what was built before.
            kind = layer.name.rstrip("0123456789").rstrip("_")
            counts[kind] += 1
            config["name"] = f"{kind}_{counts[kind]}"
        copies.append((layer, type(layer).from_config(config)))
        return copies[-1][1]

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if args[0] is inputs or args[0] is scaled:
            # EfficientNet has its preprocessing inside, whatever it is asked for.
            return scaled if isinstance(layer, _PREPROCESSING) else layer(scaled, *args[1:], **kwargs)
        return _scaled_sum(layer, *args) if type(layer).__name__ == "CustomScaleLayer" else layer(*args, **kwargs)

    body = keras.models.clone_model(model, input_tensors=inputs, clone_function=copy, call_function=call)
    for original, layer in copies if with_weights else ():
        if isinstance(layer, keras.Layer) and layer.weights:
            layer.set_weights(original.get_weights())
    return body


def _is_numbered(layer: Any) -> bool:
    """Returns whether Keras made up a layer's name from its class."""
    kind = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)).lower()
    return re.fullmatch(rf"{kind}(_\d+)?", layer.name) is not None


def _scaled_sum(layer: Any, tensors: Sequence[Any]) -> Any:
    added = keras.layers.Rescaling(layer.scale, name=f"{layer.name}_scale")(tensors[1])
    return keras.layers.Add(name=layer.name)([tensors[0], added])
