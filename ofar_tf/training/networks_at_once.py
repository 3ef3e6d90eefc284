"""How many networks of a step run at the same time, where nobody says it."""

from collections.abc import Sequence

import keras

from ofar_tf.devices.accelerators import is_accelerated
from ofar_tf.devices.memory import usable_memory
from ofar_tf.text.size import Size
from ofar_tf.training.recomputation import numbers_returned

# Of the memory that there is, what the activations of a step may take by an estimate that is twice of what they do.
_SHARE = 0.5
_BYTES = 4


def networks_that_fit(supernet: keras.Model, *, images: Sequence[int | None], networks: int) -> int:
    """Says how many networks of a step are to run at the same time. What they learn does not depend on it.

    A processor of several cores trains fastest if all of them do: what a core would wait for, another network has work
    for. But each that runs holds what its layers returned. On an accelerator they run one after the other, since
    memory is what limits there.

    Args:
        supernet: The whole network.
        images: Shape of a batch `[B, H, W, C]` at the largest size; `None` is not known.
        networks: How many networks a step trains.

    Returns:
        1 on an accelerator; else all of them where the layers of so many whole networks return no more than half of
        the memory holds, and 2 where they return more or the shape is not known.
    """
    if is_accelerated():
        return 1
    memory = usable_memory()
    batch, height, width, _ = images
    if memory is None or batch is None or height is None or width is None:
        return 2
    returned = sum(numbers_returned(supernet, size=Size(height, width)))
    return networks if networks * batch * returned * _BYTES <= _SHARE * memory else 2
