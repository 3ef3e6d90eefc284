"""What `--model=` takes: the name of a network, a saved model, or a function that builds one; and its first weights."""

from collections.abc import Callable
from typing import Any

import keras

from ofar_tf.models.applications import PREFIX, application
from ofar_tf.models.head import with_new_head
from ofar_tf.models.precision import default_policy
from ofar_tf.models.pretrained import check_pretrained, keras_weights, start_from
from ofar_tf.models.registry import build
from ofar_tf.models.user_code import call_function
from ofar_tf.models.user_model import WEIGHTS_ALONE, as_classifier, as_supernet, is_saved, read_file


def load(
    reference: str,
    *,
    classes: int,
    width_multiplier: float = 1.0,
    small_images: bool = False,
    pretrained: str = "none",
    download: bool = False,
    new_head: bool = False,
    dropout: float | None = None,
    say: Callable[[str], object] = print,
) -> keras.Model:
    """Builds, reads or has the user's code build the network that a reference names.

    A user's model must be functional Keras (a Sequential model with a known input, or one whose `call` can be opened,
    is turned into one), channels last, with one input of RGB images and one output of logits. It sees images in 0..255:
    scaling them is its own business.

    Args:
        reference: A name that `build` takes; or `keras.applications:NAME`; or the path of a `.keras` file, whose
            weights are kept; or `package.module:function`, where the current directory is searched first, or
            `file.py:function`. The function is called with `classes=`, and with `width_multiplier=` and
            `small_images=` if it has such parameters.
        classes: Number of classes of the data set.
        width_multiplier: Positive factor on all channels; must be 1 where the model cannot be built anew: for a file,
            and for a function without this parameter.
        small_images: Whether the images have 20 to 64 pixels; nothing changes in a model that does not ask for it.
        pretrained: What its weights start from: `none`; `imagenet`, the published weights of a network of
            `keras.applications` or of `efficientnet_lite0` to `2`; or the path of a `.keras` or `.weights.h5` file,
            whose weights are taken where they fit.
        download: Whether Keras may fetch the weights of `keras.applications`; it keeps them.
        new_head: Whether the last layer of a user's model is replaced by one with as many logits as there are classes.
            All other networks are built with such a one.
        dropout: Share of the head's inputs that training hides, in [0, 1); by default as the network's authors have it.
            A user's model takes it with `new_head` only.
        say: Gets a sentence on what was replaced, and one on which weights were taken.

    Returns:
        A functional model from RGB images `[batch, height, width, 3]` in 0..255 to logits `[batch, classes]`.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If the reference is understood in none of these ways, what it gives is no such model, or an argument
            or the weights do not fit it.
    """
    check_pretrained(pretrained, reference=reference, download=download)
    if reference.endswith(".weights.h5"):
        raise ValueError(f"Expected a whole model; {WEIGHTS_ALONE}. Received: {reference}.")
    size: dict[str, Any] = {"classes": classes, "width_multiplier": width_multiplier}
    own_weights = keras_weights(pretrained, reference=reference)
    if is_users(reference):
        model = _users(reference, new_head=new_head, dropout=dropout, small_images=small_images, say=say, **size)
    elif new_head:
        raise ValueError(
            "Expected new_head with a saved model or a function that builds one; all other networks are built for the "
            f"classes of the data set. Received: new_head=True with {reference}."
        )
    else:
        with default_policy("float32"):  # Whatever the user's keras.json says.
            model = _ours(reference, small_images=small_images, dropout=dropout, weights=own_weights, **size)
    if own_weights:
        say(f"{reference}: all layers but the last start from {own_weights}.")
    elif pretrained != "none":
        say(f"{reference}: {start_from(model, pretrained, reference=reference).describe(pretrained)}")
    return model


def _ours(
    reference: str, *, small_images: bool, dropout: float | None, weights: Any, classes: int, width_multiplier: float
) -> keras.Model:
    size: dict[str, Any] = {"classes": classes, "width_multiplier": width_multiplier}
    if reference.startswith(PREFIX):
        return application(reference.removeprefix(PREFIX), dropout=dropout, weights=weights, **size)
    return build(reference, small_images=small_images, dropout=dropout, **size)


def is_users(reference: str) -> bool:
    """Returns whether a reference is to a network of the user's: a saved one, or a function that builds one."""
    return is_saved(reference) or (":" in reference and not reference.startswith(PREFIX))


def _users(
    reference: str,
    *,
    classes: int,
    width_multiplier: float,
    small_images: bool,
    new_head: bool,
    dropout: float | None,
    say: Callable[[str], object],
) -> keras.Model:
    if dropout is not None and not new_head:
        raise ValueError(f"Expected dropout for {reference} with new_head=True only. Received: dropout={dropout}.")
    if not is_saved(reference):
        size: dict[str, Any] = {"classes": classes, "width_multiplier": width_multiplier}
        model = call_function(reference, **size, small_images=small_images, new_head=new_head)
    elif width_multiplier != 1:
        raise ValueError(
            "Expected width_multiplier=1 for a saved model, whose channels are fixed. "
            f"Received: width_multiplier={width_multiplier} with {reference}."
        )
    else:
        model = read_file(reference)
    if new_head:
        head = with_new_head(as_supernet(model, reference=reference), classes=classes, dropout=dropout)
        say(f"{reference}: {head.change}.")
        model = head.model
    advice = "" if new_head else "; new_head=True (--new_head) gives it a head for these classes"
    return as_classifier(model, classes=classes, reference=reference, advice=advice)
