"""How far the forms of one network are apart: masked, sliced, and exported to stock Keras."""

import keras
import numpy as np

from ofar_tf.deploy.calibration import CalibratedNetwork
from ofar_tf.pruning.channel_mask import ChannelMask


def masked_sliced_difference(
    whole: CalibratedNetwork, compact: CalibratedNetwork, mask: ChannelMask, images: np.ndarray, *, resolution: int
) -> float:
    """Compares a mask's network in both ways of running it.

    Args:
        whole: A network that keeps every channel. Its weights and statistics are lost.
        compact: The mask's compact network.
        mask: The channels kept.
        images: float32 `[B, R, R, 3]`, 0..255.
        resolution: Pixels, at most R.

    Returns:
        The largest difference of a logit, relative to the largest logit.
    """
    whole.refresh(mask)
    masked = whole.logits_in_training(images, resolution=resolution)
    sliced = compact.logits_in_training(images, resolution=resolution)
    return float(np.abs(masked - sliced).max() / np.abs(sliced).max())


def sliced_keras_difference(
    compact: CalibratedNetwork, exported: keras.Model, images: np.ndarray, resized: np.ndarray, *, resolution: int
) -> float:
    """Compares a compact, calibrated network with the model exported from it.

    Args:
        compact: The network.
        exported: Images `[B, r, r, 3]` to probabilities.
        images: float32 `[B, R, R, 3]`, 0..255.
        resized: The same images, `[B, r, r, 3]`.
        resolution: r.

    Returns:
        The largest absolute difference of a probability.
    """
    logits = compact.logits(images, resolution=resolution).astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = powers / powers.sum(axis=1, keepdims=True)
    return float(np.abs(expected - np.asarray(exported(resized, training=False))).max())
