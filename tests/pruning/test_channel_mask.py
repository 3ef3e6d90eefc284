import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.pruning.channel_groups import ChannelGroup
from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules, mask_without, rank_channels


def _groups(*sizes: int) -> tuple[ChannelGroup, ...]:
    starts = np.cumsum([0, *sizes])
    return tuple(
        ChannelGroup(f"g{i}", int(start), size, (f"g{i}",), (i,))
        for i, (start, size) in enumerate(zip(starts, sizes, strict=False))
    )


def test_a_mask_knows_its_rate_and_its_kept_positions() -> None:
    mask = ChannelMask(_groups(2, 3), np.array([True, False, False, True, True]))
    assert mask.rate == pytest.approx(0.4)
    assert mask.kept() == {"g0": [0], "g1": [1, 2]}
    assert ChannelMask.from_kept(mask.groups, mask.kept()) == mask
    assert hash(ChannelMask.from_kept(mask.groups, mask.kept())) == hash(mask)


def test_a_mask_is_its_own_and_cannot_be_changed() -> None:
    keep = np.ones(3, bool)
    mask = ChannelMask(_groups(3), keep)
    keep[0] = False
    assert mask.keep.all()
    with pytest.raises(ValueError, match="read-only"):
        mask.keep[0] = False


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (np.ones(4, bool), r"Expected a bool mask of shape \[5\]. Received: bool of shape \[4\]."),
        (np.ones(5), r"Expected a bool mask of shape \[5\]. Received: float64 of shape \[5\]."),
        (
            np.array([1, 1, 0, 0, 0], bool),
            "Expected a mask that keeps a channel of every group. Received: none kept of 'g1'.",
        ),
    ],
)
def test_nonsense_is_refused(keep: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChannelMask(_groups(2, 3), keep)


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"g0": [0]}, r"Expected the channel groups of the supernet. Received: groups that differ: \['g1'\]."),
        ({"g0": [0], "g1": [3]}, r"Expected positions in \[0, 3\) for group 'g1'. Received: \[3\]."),
        ({"g0": [-1], "g1": [0]}, r"Expected positions in \[0, 2\) for group 'g0'. Received: \[-1\]."),
    ],
)
def test_kept_positions_of_another_supernet_are_refused(kept: dict[str, list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChannelMask.from_kept(_groups(2, 3), kept)


@pytest.mark.parametrize(
    ("count", "size", "allowed"),
    [
        (0, 64, 16),
        (19, 64, 16),
        (20, 64, 24),
        (27, 64, 24),
        (64, 64, 64),
        (17, 20, 16),
        (18, 20, 20),
        (20, 20, 20),
        (13, 13, 13),
        (1, 10, 10),
    ],
)
def test_counts_are_rounded_to_multiples_of_8_above_a_floor_of_12_or_the_whole_group(
    count: int, size: int, allowed: int
) -> None:
    (group,) = _groups(size)
    assert MaskRules(12, 8).allowed(count, group) == allowed


# The floor and the step that fit: 8, or what is at most a quarter of the group, a multiple of the step.
@pytest.mark.parametrize(
    ("size", "least", "step"),
    [(1, 1, 1), (3, 1, 1), (4, 1, 1), (7, 1, 1), (8, 2, 2), (12, 2, 2), (15, 2, 2), (16, 4, 4), (20, 4, 4), (31, 4, 4),
     (32, 8, 8), (40, 8, 8), (960, 8, 8)],
)  # fmt: skip
def test_rules_that_are_not_given_fit_the_group(size: int, least: int, step: int) -> None:
    (group,) = _groups(size)
    counts = {MaskRules().allowed(count, group) for count in range(size + 1)}
    assert counts == {*range(least, size, step), size}


@given(size=st.integers(4, 200), count=st.integers(0, 200))
def test_rules_that_are_not_given_never_keep_more_than_a_quarter_of_what_nobody_wants(size: int, count: int) -> None:
    (group,) = _groups(size)
    assert 1 <= MaskRules().allowed(0, group) <= size / 4
    allowed = MaskRules().allowed(min(count, size), group)
    assert abs(allowed - min(count, size)) <= size / 4


def test_a_rule_that_is_given_is_exact_in_small_groups_too() -> None:
    (group,) = _groups(12)
    assert MaskRules(min_channels=8).allowed(0, group) == 8
    assert MaskRules(min_channels=1, channel_round_to=1).allowed(0, group) == 1
    assert MaskRules(channel_round_to=8).allowed(5, group) == 8
    assert MaskRules(floors={group.name: 6}).allowed(0, group) == 6


@pytest.mark.parametrize("name", ["min_channels", "channel_round_to"])
def test_rules_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"Expected {name} of at least 1. Received: {name}=0."):
        MaskRules(**{name: 0})


def test_equal_scores_prune_all_groups_alike_from_the_end() -> None:
    order = rank_channels(_groups(2, 4), np.zeros(6))
    # Relative positions 0, .5 | 0, .25, .5, .75: the last quarter goes first, the first channels of both go last.
    assert order.tolist() == [5, 1, 4, 3, 0, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"Expected finite importance scores. Received: NaN or infinity; the training"):
        rank_channels(_groups(2), np.array([1.0, bad]))


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    rules=st.builds(MaskRules, st.integers(1, 6), st.integers(1, 6)),
    data=st.data(),
)
def test_a_mask_keeps_the_best_of_each_group_within_the_rules_and_shrinks_with_every_channel(
    sizes: list[int], rules: MaskRules, data: Any
) -> None:
    groups = _groups(*sizes)
    scores = np.array(data.draw(st.lists(st.integers(0, 5), min_size=sum(sizes), max_size=sum(sizes))), float)
    order = rank_channels(groups, scores)
    masks = [mask_without(groups, order, pruned, rules=rules) for pruned in range(sum(sizes) + 1)]
    assert masks[0].keep.all()
    for before, after in itertools.pairwise(masks):
        assert not (after.keep & ~before.keep).any()
    for mask in masks:
        for group in groups:
            keep, score = mask.keep[group.channels], scores[group.channels]
            assert keep.sum() == group.size or keep.sum() % rules.channel_round_to == 0
            assert keep.sum() >= min(rules.min_channels, group.size)
            assert keep.all() or score[keep].min() >= score[~keep].max()
