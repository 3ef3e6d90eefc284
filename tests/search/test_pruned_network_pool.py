import dataclasses
import json

import numpy as np
import pytest

from ofar_tf.pruning.channel_groups import ChannelGroup, ChannelGroups
from ofar_tf.search.pruned_network_pool import PrunedNetwork, PrunedNetworkPool, read_pool


@pytest.fixture
def pool(make_mask):
    large = PrunedNetwork("rate25", 0.25, make_mask("1101"), 900, 90, frozen_at_epoch=2, converged=True)
    small = PrunedNetwork("rate75", 0.75, make_mask("0001"), 300, 30, frozen_at_epoch=4, converged=False)
    return PrunedNetworkPool((large, small))


def groups_of(pool, name="conv"):
    group = dataclasses.replace(pool[0].mask.groups[0], name=name)
    return ChannelGroups((group,), (), (), (), (), (), {})


def test_a_pool_survives_its_file(pool, tmp_path):
    path = tmp_path / "pool.json"
    path.write_text(pool.to_json())
    assert read_pool(path, groups_of(pool)) == pool


def test_the_file_holds_what_the_design_says(pool):
    assert json.loads(pool.to_json()) == {
        "schema_version": 1,
        "structures": [
            {
                "name": "rate25",
                "rate": 0.25,
                "macs": 900,
                "params": 90,
                "frozen_at_epoch": 2,
                "converged": True,
                "kept": {"conv": [0, 1, 3]},
            },
            {
                "name": "rate75",
                "rate": 0.75,
                "macs": 300,
                "params": 30,
                "frozen_at_epoch": 4,
                "converged": False,
                "kept": {"conv": [3]},
            },
        ],
    }


def test_a_pool_is_a_sequence_with_the_largest_network_first(pool):
    assert len(pool) == 2
    assert [network.name for network in pool] == ["rate25", "rate75"]
    assert pool.masks == [pool[0].mask, pool[1].mask]


def test_the_pool_of_another_supernet_is_refused(pool, tmp_path):
    path = tmp_path / "pool.json"
    path.write_text(pool.to_json())
    with pytest.raises(ValueError, match=r"groups that differ: \['conv', 'stem'\]"):
        read_pool(path, groups_of(pool, name="stem"))


def test_another_schema_version_is_refused_whatever_it_holds(pool, tmp_path):
    path = tmp_path / "pool.json"
    path.write_text('{"schema_version": 2, "networks": []}')
    with pytest.raises(ValueError, match=r"schema version 1\. Received: 2"):
        read_pool(path, groups_of(pool))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"structures": []}',
        '{"schema_version": 1}',
        '{"schema_version": 1, "structures": [1]}',
        '{"schema_version": 1, "structures": [{}]}',
        '{"schema_version": 1, "structures": [{"kept": {"conv": [0]}, "colour": 1}]}',
    ],
)
def test_a_file_that_is_no_pool_is_refused_on_one_line(pool, tmp_path, text):
    path = tmp_path / "pool.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="Expected a pruned network pool in") as raised:
        read_pool(path, groups_of(pool))
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(pool, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"pool\.json"):
        read_pool(tmp_path / "pool.json", groups_of(pool))


def test_networks_in_the_wrong_order_are_refused(pool):
    with pytest.raises(ValueError, match=r"falling MACs\. Received: \[300, 900\]"):
        PrunedNetworkPool((pool[1], pool[0]))


def test_a_pool_of_one_or_of_equal_names_is_refused(pool):
    with pytest.raises(ValueError, match="at least two structures"):
        PrunedNetworkPool((pool[0],))
    with pytest.raises(ValueError, match="different names"):
        PrunedNetworkPool((pool[0], dataclasses.replace(pool[1], name="rate25")))


@pytest.mark.parametrize(
    "change", [{"rate": 1.0}, {"rate": -0.1}, {"rate": np.nan}, {"macs": 0}, {"params": 0}, {"frozen_at_epoch": -1}]
)
def test_an_impossible_network_is_refused(pool, change):
    with pytest.raises(ValueError, match="Expected"):
        dataclasses.replace(pool[0], **change)


def test_a_group_of_another_size_is_refused(pool, tmp_path):
    path = tmp_path / "pool.json"
    path.write_text(pool.to_json())
    smaller = ChannelGroup("conv", start=0, size=2, layers=("conv",), gammas=(1,))
    with pytest.raises(ValueError, match=r"positions in \[0, 2\)"):
        read_pool(path, ChannelGroups((smaller,), (), (), (), (), (), {}))


def first(change):
    """Changes the first structure of a file's content."""
    return lambda content: content["structures"][0].update(change)


HOSTILE = {
    "a position twice": first({"kept": {"conv": [0, 0, 3]}}),
    "positions that fall": first({"kept": {"conv": [3, 1, 0]}}),
    "a negative position": first({"kept": {"conv": [-1, 1, 3]}}),
    "a position that is true": first({"kept": {"conv": [True, 2, 3]}}),
    "a position with a fraction": first({"kept": {"conv": [0.5, 1, 3]}}),
    "a huge position": first({"kept": {"conv": [10**400]}}),
    "a number for positions": first({"kept": {"conv": 10**390}}),
    "no position": first({"kept": {"conv": []}}),
    "a rate that is not the mask's": first({"rate": 0.3}),
    "a rate that is a text": first({"rate": "0.25"}),
    "an object for a bool": first({"converged": {}}),
    "a number for a bool": first({"converged": 1}),
    "a bool for a number": first({"frozen_at_epoch": True}),
    "huge costs": first({"macs": 10**400}),
    "costs with a fraction": first({"macs": 900.5}),
    "a list for a name": first({"name": [-1]}),
    "a path for a name": first({"name": "../../etc/passwd"}),
    "no name": first({"name": ""}),
    "a name of many letters": first({"name": "a" * 10_000}),
    "one structure": lambda content: content["structures"].pop(),
    "a structure twice": lambda content: content["structures"].append(content["structures"][0]),
    "structures in another order": lambda content: content["structures"].reverse(),
}


@pytest.mark.parametrize("damage", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_pool_that_could_not_be_is_refused_on_one_short_line(pool, tmp_path, damage):
    content, path = json.loads(pool.to_json()), tmp_path / "pool.json"
    damage(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"^Expected a pruned network pool in .* Received: ") as raised:
        read_pool(path, groups_of(pool))
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 600


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"schema_version": 1, "structures": Infinity}', b"\xa0"])
def test_a_file_that_is_hardly_json_is_refused_on_one_line(pool, tmp_path, content):
    (tmp_path / "pool.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"^Expected a pruned network pool in ") as raised:
        read_pool(tmp_path / "pool.json", groups_of(pool))
    assert "\n" not in str(raised.value)
