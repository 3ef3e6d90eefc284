"""The paper's Figure 4: how similar the masks of any two search epochs are, one map per rate."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ofar_tf.files import atomic_file
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.search.mask_similarity import cosine_similarity


def similarity_map(masks: Sequence[ChannelMask]) -> np.ndarray:
    """Compares the masks of each pair of epochs.

    Args:
        masks: The masks of one structure, one per epoch.

    Returns:
        float64 `[epochs, epochs]`: cosine similarities in [0, 1], with ones on the diagonal.
    """
    return np.array([[cosine_similarity(first.keep, second.keep) for second in masks] for first in masks])


def plot_similarity(path: Path, names: Sequence[str], history: Sequence[Sequence[ChannelMask]]) -> None:
    """Draws one similarity map per structure, side by side.

    Args:
        path: The PNG to write or replace.
        names: The structures' names.
        history: For each of at least one epoch, one mask per structure.
    """
    figure = Figure(figsize=(2.6 * len(names) + 0.8, 3.0), layout="constrained")
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    for index, (axis, name) in enumerate(zip(axes, names, strict=True)):
        rate = history[-1][index].rate
        image = axis.imshow(
            similarity_map([masks[index] for masks in history]), vmin=0.5, vmax=1.0, origin="lower", cmap="viridis"
        )
        ticks = np.unique(np.linspace(0, len(history) - 1, num=5, dtype=int))
        axis.set_xticks(ticks, labels=[str(tick + 1) for tick in ticks])
        axis.set_yticks(ticks, labels=[str(tick + 1) for tick in ticks])
        axis.set_title(f"{name} ({rate:.0%} pruned)", fontsize=9)
        axis.set_xlabel("epoch")
    axes[0].set_ylabel("epoch")
    figure.colorbar(image, ax=axes, label="cosine similarity of masks", shrink=0.8)
    with atomic_file.replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
