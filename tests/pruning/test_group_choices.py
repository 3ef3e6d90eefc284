import json

import keras
import numpy as np
import pytest

from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import MaskRules, mask_without, rank_channels
from ofar_tf.pruning.group_choices import GroupChoices, read_group_choices, write_group_choices


def two_groups() -> keras.Model:
    layers = keras.layers
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 1, use_bias=False, name="first")(image)
    x = layers.ReLU()(layers.BatchNormalization(name="first_bn")(x))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="second")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="second_bn")(x))
    return keras.Model(image, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x)))


def edited(path, **changes):
    content = json.loads(path.read_text())
    content["groups"][0].update(changes)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "groups.json"
    write_group_choices(path, find_channel_groups(two_groups()))
    return path


def test_an_unedited_file_changes_nothing(written):
    assert read_group_choices(written) == GroupChoices(sizes={"first": 8, "second": 8})


def test_the_file_tells_what_cannot_be_pruned_and_why(written):
    assert {"name": "logits", "channels": 2, "reason": "it is an output of the model"} in json.loads(
        written.read_text()
    )["unprunable"]


def test_an_excluded_group_stays_whole_and_says_that_it_was_excluded_by_hand(written):
    choices = read_group_choices(edited(written, prune=False))
    groups = find_channel_groups(two_groups(), excluded=choices.excluded)
    assert [group.name for group in groups.groups] == ["second"]
    assert ("first", 8, "it was excluded by hand") in [(e.name, e.size, e.reason) for e in groups.unprunable]


def test_a_floor_of_its_own_keeps_more_channels_of_one_group(written):
    choices = read_group_choices(edited(written, min_channels=6))
    groups = find_channel_groups(two_groups()).groups
    order = rank_channels(groups, np.zeros(16))
    mask = mask_without(groups, order, 16, rules=MaskRules(2, 2, choices.floors))
    assert [int(mask.keep[group.channels].sum()) for group in groups] == [6, 2]


def test_a_file_that_exists_is_never_overwritten(written):
    with pytest.raises(FileExistsError, match=r"^Expected the name of a new file\. Received: .*, which exists\.$"):
        write_group_choices(written, find_channel_groups(two_groups()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prune": "no"}, "prune='no' in group 'first'"),
        ({"min_channels": 9}, "Expected min_channels from 1 to 8 for group 'first'"),
        ({"min_channels": 0}, "Expected min_channels from 1 to 8 for group 'first'"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(written, changes, message):
    with pytest.raises(ValueError, match=message):
        read_group_choices(edited(written, **changes))


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "groups.json"
    path.write_text('{"schema_version": 2}')
    with pytest.raises(
        ValueError, match=r"^Expected channel groups as --write_groups writes them in .* version 2, not 1\.$"
    ):
        read_group_choices(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="Expected a file of channel groups"):
        read_group_choices(tmp_path / "none.json")


def test_excluding_a_group_that_does_not_exist_is_refused():
    with pytest.raises(
        ValueError, match=r"^Expected names of channel groups to exclude\. Received: \['third'\], which do not exist\.$"
    ):
        find_channel_groups(two_groups(), excluded=["third"])
