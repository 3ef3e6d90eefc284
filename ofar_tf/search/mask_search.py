"""The structure search as a Keras callback (Algorithm 1, lines 3 to 8)."""

import csv
import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ofar_tf.files import atomic_file
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.importance import LEARNED
from ofar_tf.search.mask_tracker import MaskTracker, SimilarityRow
from ofar_tf.search.pruned_network_pool import PrunedNetwork, PrunedNetworkPool
from ofar_tf.search.similarity_figure import plot_similarity


class MaskSearch(keras.callbacks.Callback):
    """Searches the structures while an `OnceForAll` model trains.

    At the end of each epoch it cuts one mask per budget from the current ranking, compares it with the epoch before,
    and freezes the structures whose mask has stopped changing. When all are frozen, or the search's epochs are spent,
    it hands the model its Pruned Network Pool, and joint training begins with the next epoch. Structures that had not
    converged by then are frozen as they are, marked `converged: false`, and named in a warning.

    Callbacks listed after it see the masks of the epoch that has just ended, those before it the masks that the epoch
    was trained with. A search that one `fit` did not finish goes on when `fit` is called again with the same instance;
    in another model it begins anew.

    Args:
        similarity_threshold: tau of Algorithm 1, in (0, 1].
        epochs: Most epochs the search may take, at least 0. With 0, or with a criterion that does not learn, the masks
            of the untrained network are the structures.
        patience: How many times in a row a mask must be unchanged, at least 1.
        window: With how many masks before it a mask is compared, see `MaskTracker`.
        measure: What tau is held against, `raw` or `above_chance`, see `MaskTracker`.
        directory: Where `similarity.csv`, `similarity.png` and `pool.json` are written; nowhere by default.
        found: The masks of structures that were found elsewhere, in the order of the model's budgets; there is nothing
            to search then.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        similarity_threshold: float = 0.95,
        *,
        epochs: int = 10,
        patience: int = 1,
        window: int = 1,
        measure: str = "raw",
        directory: str | Path | None = None,
        found: Sequence[ChannelMask] = (),
    ):
        super().__init__()
        self._tracker_of = partial(
            MaskTracker, threshold=similarity_threshold, patience=patience, window=window, measure=measure
        )
        self._tracker_of(())  # A tracker needs the model's budgets, but its numbers are checked now.
        if epochs < 0:
            raise ValueError(f"Expected a number of search epochs of at least 0. Received: epochs={epochs}.")
        self.epochs = 0 if found else epochs
        self._found = tuple(found)
        self.directory = Path(directory) if directory is not None else None
        self.rows: list[SimilarityRow] = []
        self._tracker: MaskTracker | None = None

    @property
    def tracker(self) -> MaskTracker:
        """The masks of all epochs so far."""
        if self._tracker is None:
            names = [budget.name for budget in self.model.budgets]
            self._tracker = self._tracker_of(names)
        return self._tracker

    @property
    def _learns(self) -> bool:
        """Whether there is anything to search for: controls rank channels without looking at the network."""
        return self.epochs > 0 and self.model.importance in LEARNED

    def set_model(self, model: Any) -> None:
        """Takes the model that is trained, and forgets what was found in another one."""
        if self.model is not None and self.model is not model:
            self.rows, self._tracker = [], None
        super().set_model(model)

    def on_train_begin(self, logs: Any = None) -> None:
        """Skips the search where there is nothing to learn from it."""
        if self.model.searching and not self._learns:
            self._take(self._found or self.model.derive_masks())
            self._write_pool()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Takes the masks of the epoch that has ended."""
        if not self.model.searching or self.model.phase == "head":
            return
        self._take(self.model.derive_masks(frozen=self.tracker.frozen_masks))
        self._write_similarity()
        if not self.model.searching:
            self._write_pool()
            self._warn_of_changing_masks()

    def on_train_end(self, logs: Any = None) -> None:
        """Warns if training ended before the search."""
        if self.model.searching:
            print(
                f"\nWarning: training ended after {len(self.tracker.history)} of up to {self.epochs} search epochs, "
                "and no structure is final. Call fit again with the same MaskSearch, or search for fewer epochs."
            )

    def _take(self, masks: Sequence[ChannelMask]) -> None:
        self.rows += self.tracker.update(masks)
        self.model.set_masks(self.tracker.masks, frozen=[at is not None for at in self.tracker.frozen_at])
        if self.tracker.all_frozen or len(self.tracker.history) >= self.epochs or not self._learns:
            self._freeze()

    def _freeze(self) -> None:
        model, epochs = self.model, len(self.tracker.history) if self._learns else 0
        networks = [
            PrunedNetwork(
                name=budget.name,
                rate=mask.rate,
                mask=mask,
                macs=model.costs.macs(mask, model.resolutions[0]),
                params=model.costs.params(mask),
                frozen_at_epoch=at or epochs,
                converged=at is not None or not self._learns,
            )
            for budget, mask, at in zip(model.budgets, self.tracker.masks, self.tracker.frozen_at, strict=True)
        ]
        # Structures frozen at different epochs may not cost what their rates suggest; the pool is ordered by cost.
        model.freeze(PrunedNetworkPool(tuple(sorted(networks, key=lambda network: -network.macs))))

    def _warn_of_changing_masks(self) -> None:
        changing = [network.name for network in self.model.pool if not network.converged]
        if changing:
            print(
                f"\nWarning: the masks of {', '.join(changing)} had not settled when the search ended; "
                "they are frozen as they are. More search epochs would let them converge."
            )

    def _write_pool(self) -> None:
        if self.directory is not None:
            atomic_file.write_text(self.directory / "pool.json", self.model.pool.to_json())

    def _write_similarity(self) -> None:
        if self.directory is None:
            return
        with (
            atomic_file.replacing(self.directory / "similarity.csv") as path,
            path.open("w", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(field.name for field in dataclasses.fields(SimilarityRow))
            writer.writerows(dataclasses.astuple(row) for row in self.rows)
        plot_similarity(self.directory / "similarity.png", self.tracker.names, self.tracker.history)

    def state(self) -> np.ndarray:
        """Returns bool `[epochs, structures, channels]`: all masks so far, which is all the search remembers."""
        channels = self.model.groups.size
        masks = [[mask.keep for mask in masks] for masks in self.tracker.history]
        return np.array(masks, bool).reshape(-1, len(self.tracker.names), channels)

    def restore(self, state: np.ndarray) -> None:
        """Repeats the search from earlier masks; the model ends as it was, and no file is written.

        Args:
            state: What `state()` returned.

        Raises:
            ValueError: If the masks are those of another model.
        """
        groups = self.model.groups.groups
        for masks in state:
            self._take([ChannelMask(groups, keep.copy()) for keep in masks])
