"""What a pool is told, in the forms that programs have it in."""

import numpy as np
import pytest

from ofar_tf.search.pool_spec import PoolSpec


def test_arrays_and_quantities_mean_what_lists_of_numbers_mean():
    plain = PoolSpec.of(macs_budgets=[3_000_000, 20_000], resolutions=[16, 8])
    assert PoolSpec.of(macs_budgets=["20k", "3M"], resolutions=np.array([8, 16])) == plain
    assert PoolSpec.of(macs_budgets=np.array([2e4, 3e6]), resolutions=(16, 8)) == plain
    rates = PoolSpec.of(pruning_rates=[0.0, 0.5], resolutions=[8])
    assert PoolSpec.of(pruning_rates=np.array([0.0, 0.5]), resolutions=range(8, 9)) == rates


@pytest.mark.parametrize("name", ["excluded_groups", "outside", "macs_budgets"])
def test_one_name_in_the_place_of_a_list_is_refused(name):
    with pytest.raises(ValueError, match=f"Expected {name} as a list. Received: {name}='stem'."):
        PoolSpec.of(**{"pruning_rates": [0.0, 0.5], "resolutions": [8], name: "stem"})


@pytest.mark.parametrize("rate", ["much", None, [0.1]])
def test_a_rate_that_is_no_number_is_refused(rate):
    with pytest.raises(ValueError, match=r"^Expected a pruning rate in \[0, 1\)\. Received: rate="):
        PoolSpec.of(pruning_rates=[0, rate], resolutions=[12])
