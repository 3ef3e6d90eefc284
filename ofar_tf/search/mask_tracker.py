"""Decides, from the masks of successive epochs, which rates have stopped changing."""

from collections.abc import Sequence
from dataclasses import dataclass

from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.search.mask_similarity import above_chance, cosine_similarity

MEASURES = ("raw", "above_chance")


@dataclass(frozen=True)
class SimilarityRow:
    """One row of `similarity.csv`.

    Attributes:
        epoch: Epochs trained, counted from 1.
        structure: Name of the structure.
        rate: Its pruning rate after rounding.
        similarity: Cosine of this epoch's mask and the previous one's, of several the smallest; `None` where there are
            fewer than are compared.
        above_chance: The similarity corrected for chance; `None` likewise.
        frozen: Whether the structure's mask is fixed from this epoch on.
    """

    epoch: int
    structure: str
    rate: float
    similarity: float | None
    above_chance: float | None
    frozen: bool


class MaskTracker:
    """Compares each rate's mask with that of the epoch before and freezes it once it has stopped changing.

    The masks at initialisation carry no information and are never compared: the first comparison is between the ends
    of the first and the second epoch (DESIGN D9).

    Args:
        names: The structures' names, largest first.
        threshold: The similarity tau above which a mask counts as unchanged, in (0, 1].
        patience: How many times in a row it must be unchanged, at least 1.
        window: With how many masks before it a mask is compared, at least 1: 1 is Algorithm 1, 5 Early-Bird's (DESIGN
            D28).
        measure: What the threshold is held against: `raw`, the cosine; or `above_chance`, corrected for what random
            masks of the same rate would score (DESIGN D22).

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self, names: Sequence[str], *, threshold: float, patience: int = 1, window: int = 1, measure: str = "raw"
    ):
        if not 0.0 < threshold <= 1.0:
            raise ValueError(f"Expected a similarity threshold in (0, 1]. Received: threshold={threshold}.")
        if patience < 1:
            raise ValueError(f"Expected a similarity patience of at least 1. Received: patience={patience}.")
        if window < 1:
            raise ValueError(f"Expected a similarity window of at least 1. Received: window={window}.")
        if measure not in MEASURES:
            raise ValueError(f"Expected a similarity measure of {', '.join(MEASURES)}. Received: {measure!r}.")
        self.names = tuple(names)
        self.threshold = threshold
        self.patience = patience
        self.window = window
        self.measure = measure
        self.history: list[list[ChannelMask]] = []
        self.frozen_at: list[int | None] = [None] * len(self.names)
        self._streak = [0] * len(self.names)

    @property
    def masks(self) -> list[ChannelMask]:
        """The masks in force: the frozen ones, and the latest of the others."""
        return list(self.history[-1])

    @property
    def frozen_masks(self) -> list[ChannelMask | None]:
        """The masks of the frozen structures, `None` for those that still change."""
        if not self.history:
            return [None] * len(self.names)
        return [m if at is not None else None for m, at in zip(self.masks, self.frozen_at, strict=True)]

    @property
    def all_frozen(self) -> bool:
        """Whether every structure is frozen."""
        return None not in self.frozen_at

    def update(self, masks: Sequence[ChannelMask]) -> list[SimilarityRow]:
        """Takes the masks of one more epoch; those of frozen structures are ignored.

        Args:
            masks: One mask per structure, in the order of the names.

        Returns:
            One row per structure.
        """
        earlier = self.history[-self.window :] if len(self.history) >= self.window else []
        current = [frozen or mask for frozen, mask in zip(self.frozen_masks, masks, strict=True)]
        self.history.append(current)
        return [self._row(index, [masks[index] for masks in earlier]) for index in range(len(self.names))]

    def _row(self, index: int, earlier: Sequence[ChannelMask]) -> SimilarityRow:
        mask, epoch = self.history[-1][index], len(self.history)
        similarity = min((cosine_similarity(other.keep, mask.keep) for other in earlier), default=None)
        corrected = None if similarity is None else above_chance(similarity, mask.rate)
        measured = similarity if self.measure == "raw" else corrected
        # At the threshold itself the mask still counts as changing, except that nothing exceeds a threshold of 1.
        unchanged = similarity == 1.0 or (measured is not None and measured > self.threshold)
        self._streak[index] = self._streak[index] + 1 if unchanged else 0
        if self.frozen_at[index] is None and self._streak[index] >= self.patience:
            self.frozen_at[index] = epoch
        return SimilarityRow(
            epoch=epoch,
            structure=self.names[index],
            rate=mask.rate,
            similarity=similarity,
            above_chance=corrected,
            frozen=self.frozen_at[index] is not None,
        )
