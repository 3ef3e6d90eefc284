"""Whether what was trained is what is shipped: masked = sliced = the exported Keras model, measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # Programs that only read a manifest do not load TensorFlow.
    import keras

    from ofar_tf.evaluation.batch_norm_calibration import CalibratedNetwork
    from ofar_tf.pruning.channel_mask import ChannelMask
    from ofar_tf.text.size import Size

TOLERANCE = 1e-3


@dataclass(frozen=True)
class NetworkParity:
    """Differences between the forms of one network at one resolution, on real images.

    Attributes:
        masked_sliced: Largest difference of a logit between the masked supernet and the compact network, both
            normalized by the images' own statistics, relative to the largest logit.
        sliced_keras: Largest absolute difference of a probability between the compact network and the exported
            `.keras` model.
    """

    masked_sliced: float
    sliced_keras: float

    @property
    def reasons(self) -> tuple[str, ...]:
        """What is wrong, one sentence each; empty if the forms agree to `TOLERANCE`."""
        pairs = (
            ("The masked and the sliced network differ", self.masked_sliced),
            ("The sliced network and the exported Keras model differ", self.sliced_keras),
        )
        beyond = [(text, value) for text, value in pairs if not value <= TOLERANCE]  # NaN is beyond all.
        return tuple(f"{text} by {value:.2g}, more than {TOLERANCE:g}." for text, value in beyond)


def masked_sliced_difference(
    whole: "CalibratedNetwork",
    compact: "CalibratedNetwork",
    mask: "ChannelMask",
    images: np.ndarray,
    *,
    resolution: "Size",
) -> float:
    """Compares a mask's network in both ways of running it.

    Args:
        whole: A network that keeps every channel. Its weights and statistics are lost.
        compact: The mask's compact network.
        mask: The channels kept.
        images: float32 `[B, H, W, 3]`, 0..255.
        resolution: What they are resized to.

    Returns:
        The largest difference of an output, relative to the largest output of its tensor.
    """
    import keras  # Here, so that programs that only read a manifest do not load it.

    whole.refresh(mask)
    masked = whole.outputs_in_training(images, resolution=resolution)
    sliced = compact.outputs_in_training(images, resolution=resolution)
    pairs = zip(keras.tree.flatten(masked), keras.tree.flatten(sliced), strict=True)
    return _largest([_relative(np.abs(one - other).max(), to=np.abs(other).max()) for one, other in pairs])


def _largest(differences: Sequence[float]) -> float:
    return float(np.max(differences))  # Not `max`, which may pass over NaN.


def _relative(difference: float, *, to: float) -> float:
    # Outputs may be zero altogether, as those of a head that begins with zeros.
    return difference / to if to else difference


def sliced_keras_difference(expected: Any, exported: "keras.Model", images: np.ndarray) -> float:
    """Compares a compact, calibrated network with the model exported from it.

    Args:
        expected: What the network says of the images, as it is shipped (`Task.finished`).
        exported: The model.
        images: `[B, h, w, 3]`, 0..255.

    Returns:
        The largest absolute difference of an output.
    """
    import keras  # Here, so that programs that only read a manifest do not load it.

    pairs = zip(keras.tree.flatten(expected), keras.tree.flatten(exported(images, training=False)), strict=True)
    return _largest([np.abs(one - np.asarray(other)).max() for one, other in pairs])
