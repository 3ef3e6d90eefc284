"""The images that a network can be trained on: how small, or of which one size."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from ofar_tf.models.functional_graph import is_functional
from ofar_tf.models.layer_copy import CopyError, copy_of, copying
from ofar_tf.text.patterns import matches
from ofar_tf.text.size import Resolution, Size

# So large that what unpadded convolutions cut off at the border vanishes when the ratio of sizes is rounded.
_PROBE = 2**15
# A map that is smaller yet belongs to a stride of more than 64, or has a size of its own whatever the image's.
_SMALL = 2**9
# So many sizes are tried where the stride alone does not tell the smallest that runs.
_TRIES = 1024


def fixed_size(model: keras.Model) -> int | None:
    """Returns the one size of square images that a model takes, in pixels, or `None` where height and width are free.

    Args:
        model: A functional model with one input `[batch, height, width, channels]`.
    """
    sizes = [size for size in model.inputs[0].shape[1:3] if size is not None]
    return max(sizes, default=None)


def check_resolutions(
    model: keras.Model, lists: Mapping[str, Sequence[Resolution]], *, outside: Sequence[str] = ()
) -> None:
    """Refuses resolutions that a model cannot be trained or run at.

    Args:
        model: A functional model with one input `[batch, height, width, channels]`.
        lists: Resolutions in pixels, by the name that the user knows the list by.
        outside: Patterns of the names of layers whose maps may be of any size, as the highest of a feature pyramid.

    Raises:
        ValueError: If one is not the model's fixed size, is below its stride, or fits it for another reason not, as
            where maps are halved, doubled and joined again.
    """
    fixed, smallest = fixed_size(model), smallest_resolution(model, outside=outside)
    allowed = f"of exactly {fixed}, its fixed input size" if fixed else f"of at least {smallest}, its stride"
    for name, resolutions in lists.items():
        for resolution in resolutions:
            size = Size.of(resolution)
            sides = size.height, size.width
            if any(side != fixed if fixed else side < smallest for side in sides):
                raise ValueError(f"Expected {name} for {model.name} {allowed}. Received: {resolution}.")
            if not _runs(model, (None, *sides, model.inputs[0].shape[3])):
                raise ValueError(f"Expected {name} that {model.name} can run at. Received: {resolution}.")


def smallest_resolution(model: keras.Model, *, outside: Sequence[str] = ()) -> int:
    """Finds the total stride of a network: below it, its coarsest feature map would be less than one pixel.

    With `same` padding smaller images would still run, on maps that are mostly padding.

    Args:
        model: A functional model with one input `[batch, height, width, channels]`.
        outside: Patterns of the names of layers whose maps do not count.

    Returns:
        The largest ratio of input to feature map, in pixels: 32 for the ImageNet networks, 8 for most of them with
        `small_images=True`. Maps that do not grow with the image, as behind global pooling, a crop or `Resizing`, do
        not count. Where `valid` padding asks for more, or maps only fit each other at certain sizes, the smallest size
        that runs. For a model with a fixed input size this size: it runs at no other.

    Raises:
        ValueError: If it runs at no size.
    """
    channels = model.inputs[0].shape[3]
    fixed = fixed_size(model)
    if fixed is not None:
        return fixed
    stride = _stride(model, outside=outside)
    if stride is not None:
        fits = (size for size in range(stride, stride + _TRIES) if _runs(model, (None, size, size, channels)))
    else:
        fits = (size for size in range(1, _TRIES) if _calls(model, size))
    smallest = next(fits, None)
    if smallest is None:
        raise ValueError(f"Expected a model that runs on square images. Received: {model.name}, which runs at no size.")
    return smallest


def _stride(model: keras.Model, *, outside: Sequence[str]) -> int | None:
    """Returns the ratio of the image to the coarsest map; None where maps fit each other at certain sizes only."""
    try:
        sizes = _map_sizes(model, _PROBE, outside=outside)
        if any(size is not None and 1 < size < _SMALL for size in sizes):
            larger = _map_sizes(model, 2 * _PROBE, outside=outside)
            sizes = [size for size, other in zip(sizes, larger, strict=True) if size != other]
    except ValueError:
        return None
    return round(_PROBE / min((size for size in sizes if size is not None and size > 1), default=_PROBE))


def _calls(model: keras.Model, size: int) -> bool:
    """Whether every layer takes what it gets: calls check more than the inference of shapes does, and take longer."""
    try:
        _map_sizes(model, size, outside=())
    except CopyError:
        raise
    except ValueError:
        return False
    return True


def _map_sizes(model: keras.Model, side: int, *, outside: Sequence[str]) -> list[int | None]:
    """Returns the heights and widths of all maps that a square image of a size becomes."""
    shapes = _feature_maps(model, [(side, side, model.inputs[0].shape[3])], outside=outside)
    return [size for shape in shapes if len(shape) == 4 for size in shape[1:3]]


def _runs(model: keras.Model, shape: tuple[int | None, ...]) -> bool:
    try:
        model.compute_output_shape(keras.tree.pack_sequence_as(model.input, [shape]))
    except ValueError:
        return False
    return True


def _feature_maps(
    model: keras.Model, input_shapes: list[tuple[int | None, ...]], *, outside: Sequence[str]
) -> list[tuple[int | None, ...]]:
    shapes = [(None, *shape) for shape in input_shapes]

    def record(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if is_functional(layer):
            inner = [tuple(tensor.shape[1:]) for tensor in keras.tree.flatten(args)]
            shapes.extend(_feature_maps(layer, inner, outside=outside))
        outputs = layer(*args, **kwargs)
        if not matches(layer.name, outside):
            shapes.extend(tensor.shape for tensor in keras.tree.flatten(outputs))
        return outputs

    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs)
    inputs = keras.tree.pack_sequence_as(model.input, [keras.Input(shape) for shape in input_shapes])
    # Cloning is the public way to see every layer call; in this scope the clone's weights are never allocated.
    with copying(model), keras.StatelessScope(initialize_variables=False):
        keras.models.clone_model(model, input_tensors=inputs, clone_function=copy_of, call_function=record)
    return shapes
