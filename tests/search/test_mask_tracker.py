import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.search.mask_tracker import MaskTracker


def track(make_mask, epochs, *, threshold=0.95, patience=1):
    """Runs a tracker over epochs given as lists of mask texts; returns it and its rows."""
    tracker = MaskTracker(
        [f"structure{index}" for index in range(len(epochs[0]))], threshold=threshold, patience=patience
    )
    return tracker, [row for masks in epochs for row in tracker.update([make_mask(text) for text in masks])]


def test_nothing_is_compared_before_the_second_epoch(make_mask):
    tracker, rows = track(make_mask, [["1110", "1100"]])
    assert [(row.epoch, row.similarity, row.above_chance, row.frozen) for row in rows] == [(1, None, None, False)] * 2
    assert tracker.frozen_at == [None, None]


def test_a_mask_is_frozen_at_the_epoch_in_which_it_did_not_change(make_mask):
    tracker, rows = track(make_mask, [["1110", "1100"], ["1110", "0110"], ["1110", "0110"]])
    assert tracker.frozen_at == [2, 3]
    assert tracker.all_frozen
    # By hand: 1100 and 0110 share one of two; chance is one half, and so is the similarity.
    middle = rows[3]
    assert (middle.epoch, middle.structure, middle.rate, middle.frozen) == (2, "structure1", 0.5, False)
    assert (middle.similarity, middle.above_chance) == (pytest.approx(0.5), pytest.approx(0.0))


def test_patience_counts_only_epochs_in_a_row(make_mask):
    masks = [["1100"], ["1100"], ["1010"], ["1010"], ["1010"]]
    assert track(make_mask, masks, patience=2)[0].frozen_at == [5]
    assert track(make_mask, masks, patience=1)[0].frozen_at == [2]


def test_a_frozen_mask_never_changes(make_mask):
    tracker, rows = track(make_mask, [["1100", "1110"], ["1100", "0111"], ["0011", "1011"]])
    assert [mask.keep.tolist() for mask in tracker.masks] == [[True, True, False, False], [True, False, True, True]]
    assert [None if mask is None else mask.rate for mask in tracker.frozen_masks] == [0.5, None]
    assert rows[4].frozen
    assert rows[4].similarity == 1.0


def test_a_similarity_at_the_threshold_counts_as_change(make_mask):
    # 1110 and 0111 share two of three.
    assert track(make_mask, [["1110"], ["0111"]], threshold=2 / 3)[0].frozen_at == [None]
    assert track(make_mask, [["1110"], ["0111"]], threshold=0.66)[0].frozen_at == [2]


def test_at_threshold_1_equal_masks_are_frozen(make_mask):
    assert track(make_mask, [["1110"], ["1110"]], threshold=1.0)[0].frozen_at == [2]


@given(st.lists(st.permutations("11100"), min_size=1, max_size=8), st.integers(1, 3))
def test_a_mask_is_frozen_by_the_first_run_of_unchanged_epochs(make_mask, epochs, patience):
    tracker, _ = track(make_mask, [["".join(mask)] for mask in epochs], threshold=1.0, patience=patience)
    # Independently: the first window of patience + 1 equal masks ends at the epoch of the freeze.
    windows = [epochs[start : start + patience + 1] for start in range(len(epochs) - patience)]
    ends = [start + patience + 1 for start, window in enumerate(windows) if all(mask == window[0] for mask in window)]
    assert tracker.frozen_at == [ends[0] if ends else None]


def test_before_the_first_epoch_nothing_is_frozen():
    tracker = MaskTracker(["a", "b"], threshold=0.9)
    assert tracker.frozen_masks == [None, None]
    assert not tracker.all_frozen


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.01, np.nan])
def test_a_threshold_outside_0_to_1_is_refused(threshold):
    with pytest.raises(ValueError, match=r"threshold in \(0, 1\]"):
        MaskTracker(["a"], threshold=threshold)


def test_a_patience_of_0_is_refused():
    with pytest.raises(ValueError, match="patience of at least 1"):
        MaskTracker(["a"], threshold=0.9, patience=0)


def test_a_window_compares_with_several_masks_and_the_least_similar_counts(make_mask):
    # The third mask equals the second and shares one of two with the first; the fourth equals both before it.
    masks = [["1100"], ["0110"], ["0110"], ["0110"]]
    tracker = MaskTracker(["structure0"], threshold=0.9, window=2)
    rows = [row for epoch in masks for row in tracker.update([make_mask(text) for text in epoch])]
    assert [row.similarity for row in rows] == [None, None, pytest.approx(0.5), 1.0]
    assert tracker.frozen_at == [4]


@pytest.mark.parametrize(("measure", "frozen_at"), [("raw", [2]), ("above_chance", [None])])
def test_a_threshold_may_be_held_against_the_similarity_above_chance(make_mask, measure, frozen_at):
    # Three of four channels, two in common: the cosine is 2/3, chance is 3/4, so the masks are less alike than chance.
    tracker = MaskTracker(["structure0"], threshold=0.6, measure=measure)
    for text in ("1110", "0111"):
        tracker.update([make_mask(text)])
    assert tracker.frozen_at == frozen_at


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"window": 0}, "similarity window of at least 1"), ({"measure": "odds"}, "measure of raw, above_chance")],
)
def test_a_comparison_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MaskTracker([], threshold=0.9, **arguments)
