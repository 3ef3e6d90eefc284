import json
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from ofar_tf.pruning.budgets import parse_budgets
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.pruning.costs import Costs
from ofar_tf.search.mask_search import MaskSearch


@pytest.fixture(scope="module")
def groups():
    """One convolution of four channels."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=False)(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return find_channel_groups(keras.Model(image, keras.layers.Dense(2)(x)))


class ScriptedModel:
    """Stands in for `OnceForAll`: its ranking gives the masks of a script, one list of texts per epoch."""

    def __init__(self, groups, script=(), *, importance="gamma"):
        self.groups = groups
        self.budgets = parse_budgets(pruning_rates=[0.25, 0.5])
        self.costs = Costs(groups)
        self.resolutions = (8, 6)
        self.importance = importance
        self.pool = None
        self.set = []
        self._script = list(script)

    @property
    def phase(self):
        return "search" if self.searching else "joint"

    @property
    def searching(self):
        return self.pool is None

    def derive_masks(self, frozen=()):
        return [mask_of(self.groups, text) for text in self._script.pop(0)]

    def set_masks(self, masks, *, frozen):
        self.set.append(([text_of(mask) for mask in masks], list(frozen)))

    def freeze(self, pool):
        self.pool = pool


def mask_of(groups, text):
    return ChannelMask(groups.groups, np.array([letter == "1" for letter in text]))


def text_of(mask):
    return "".join("01"[int(kept)] for kept in mask.keep)


def run(search, model, *, epochs):
    search.set_model(model)
    search.on_train_begin()
    for epoch in range(epochs):
        search.on_epoch_end(epoch)
    search.on_train_end()
    return model


CHANGING = [["1110", "1100"], ["1110", "0110"], ["0111", "0101"], ["1101", "0011"]]


def test_the_search_ends_when_every_mask_has_stopped_changing(groups):
    script = [["1110", "1100"], ["1110", "0110"], ["0111", "0110"], ["1011", "1001"]]
    model = run(MaskSearch(epochs=10), ScriptedModel(groups, script), epochs=4)
    assert model.set == [
        (["1110", "1100"], [False, False]),
        (["1110", "0110"], [True, False]),
        (["1110", "0110"], [True, True]),
    ]
    assert [(n.name, text_of(n.mask), n.frozen_at_epoch, n.converged) for n in model.pool] == [
        ("rate25", "1110", 2, True),
        ("rate50", "0110", 3, True),
    ]


def test_masks_that_still_change_at_the_end_are_frozen_marked_and_named(groups, capsys):
    model = run(MaskSearch(epochs=3), ScriptedModel(groups, CHANGING), epochs=4)
    assert [(text_of(n.mask), n.frozen_at_epoch, n.converged) for n in model.pool] == [
        ("1110", 2, True),
        ("0101", 3, False),
    ]
    assert "the masks of rate50 had not settled" in capsys.readouterr().out


def test_the_pool_counts_costs_at_the_largest_resolution(groups):
    large, small = run(MaskSearch(epochs=1), ScriptedModel(groups, CHANGING), epochs=1).pool
    # A valid 3x3 convolution of three channels on 8x8 pixels gives 6x6; the dense layer has two outputs.
    assert (large.macs, small.macs) == (6 * 6 * 27 * 3 + 3 * 2, 6 * 6 * 27 * 2 + 2 * 2)
    # Kernel, four BatchNorm vectors, dense kernel and bias.
    assert (large.params, small.params) == (27 * 3 + 4 * 3 + 3 * 2 + 2, 27 * 2 + 4 * 2 + 2 * 2 + 2)


def test_the_pool_is_ordered_by_cost_whatever_the_order_of_the_budgets(groups):
    model = run(MaskSearch(epochs=1), ScriptedModel(groups, [["1000", "1110"]]), epochs=1)
    assert [network.name for network in model.pool] == ["rate50", "rate25"]


@pytest.mark.parametrize(("importance", "epochs"), [("uniform", 5), ("random", 5), ("gamma", 0)])
def test_with_nothing_to_learn_the_structures_are_there_before_training(groups, tmp_path, importance, epochs):
    search = MaskSearch(epochs=epochs, directory=tmp_path)
    model = run(search, ScriptedModel(groups, [["1110", "1100"]], importance=importance), epochs=2)
    assert [(text_of(n.mask), n.frozen_at_epoch, n.converged) for n in model.pool] == [
        ("1110", 0, True),
        ("1100", 0, True),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["pool.json"]


def test_the_files_say_what_happened(groups, tmp_path):
    run(MaskSearch(epochs=2, directory=tmp_path), ScriptedModel(groups, CHANGING), epochs=3)
    assert (tmp_path / "similarity.csv").read_text().splitlines() == [
        "epoch,structure,rate,similarity,above_chance,frozen",
        "1,rate25,0.25,,,False",
        "1,rate50,0.5,,,False",
        "2,rate25,0.25,1.0,1.0,True",
        "2,rate50,0.5,0.5,0.0,False",
    ]
    structures = json.loads((tmp_path / "pool.json").read_text())["structures"]
    kept = [(entry["name"], *entry["kept"].values(), entry["converged"]) for entry in structures]
    assert kept == [("rate25", [0, 1, 2], True), ("rate50", [1, 2], False)]
    assert (tmp_path / "similarity.png").stat().st_size > 0


@pytest.mark.parametrize("killed_after", [0, 1, 2, 3, 4])
def test_a_restored_search_goes_on_as_if_it_had_never_stopped(groups, tmp_path, killed_after):
    script = [["1110", "1100"], ["1011", "1010"], ["1011", "0110"], ["0111", "0110"]]
    whole = MaskSearch(epochs=9, directory=tmp_path / "whole")
    expected = run(whole, ScriptedModel(groups, script), epochs=4)

    first, second = MaskSearch(epochs=9), MaskSearch(epochs=9, directory=tmp_path / "resumed")
    run(first, ScriptedModel(groups, script[:killed_after]), epochs=killed_after)
    model = ScriptedModel(groups, script[killed_after:])
    second.set_model(model)
    second.restore(first.state())
    assert not list(tmp_path.glob("resumed/*"))
    run(second, model, epochs=4 - killed_after)
    assert model.pool == expected.pool
    assert model.set == expected.set
    assert second.rows == whole.rows
    if killed_after < 4:
        for name in ("similarity.csv", "pool.json"):
            assert (tmp_path / "resumed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_state_of_another_model_is_refused(groups):
    search = MaskSearch()
    search.set_model(ScriptedModel(groups))
    with pytest.raises(ValueError, match="Expected a bool mask of shape"):
        search.restore(np.ones((1, 2, 5), bool))


def test_training_that_ends_before_the_search_is_warned_of_and_can_go_on(groups, capsys):
    search, model = MaskSearch(epochs=3), ScriptedModel(groups, CHANGING)
    run(search, model, epochs=2)
    assert model.pool is None
    assert "training ended after 2 of up to 3 search epochs" in capsys.readouterr().out
    run(search, model, epochs=1)
    assert model.pool is not None


def test_a_search_that_is_used_for_another_model_begins_anew(groups):
    settled = [["1110", "1100"], ["1110", "1100"]]
    search = MaskSearch(epochs=4)
    assert len(run(search, ScriptedModel(groups, settled), epochs=2).pool) == 2
    again, expected = (ScriptedModel(groups, CHANGING) for _ in range(2))
    run(search, again, epochs=4)
    run(fresh := MaskSearch(epochs=4), expected, epochs=4)
    assert (again.set, search.rows) == (expected.set, fresh.rows)
    assert again.pool == expected.pool


def test_a_model_with_a_pool_is_left_alone(groups):
    model = ScriptedModel(groups)
    model.pool = SimpleNamespace()
    run(MaskSearch(), model, epochs=2)
    assert model.set == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": -1}, "search epochs of at least 0"),
        ({"similarity_threshold": 0.0}, "threshold in"),
        ({"patience": 0}, "patience of at least 1"),
    ],
)
def test_impossible_arguments_are_refused_before_training(arguments, message):
    with pytest.raises(ValueError, match=message):
        MaskSearch(**arguments)


def test_a_folder_may_be_given_as_text(tmp_path):
    assert MaskSearch(directory=str(tmp_path)).directory == Path(tmp_path)
