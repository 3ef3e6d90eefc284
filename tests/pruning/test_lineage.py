import numpy as np

from ofar_tf.pruning.lineage import Descent, descend, passed_block, without

SOURCE = {0: Descent(np.arange(4))}


def _kernel(parent: dict[int, Descent], *, bends: bool = False) -> dict[int, Descent]:
    return descend([parent], is_product=False, kernels=1, bends=bends)


def test_a_block_of_two_kernels_beside_a_projection_is_passed() -> None:
    block = _kernel(_kernel(SOURCE, bends=True))
    fork = passed_block([block, _kernel(SOURCE)])
    assert fork is not None and fork.ids.tolist() == [0, 1, 2, 3]


def test_branches_of_one_kernel_each_pass_nothing() -> None:
    assert passed_block([_kernel(SOURCE, bends=True), _kernel(SOURCE, bends=True)]) is None


def test_a_sum_of_linear_branches_is_one_linear_map_and_no_block() -> None:
    assert passed_block([SOURCE, _kernel(SOURCE)]) is None
    assert passed_block([SOURCE, _kernel(SOURCE, bends=True)]) is not None


def test_branches_that_share_no_tensor_pass_nothing() -> None:
    assert passed_block([SOURCE, {1: Descent(np.arange(4), kernels=2, bent=True)}]) is None


def test_a_gate_takes_what_it_scales_through_no_block() -> None:
    gate = _kernel(_kernel(SOURCE, bends=True), bends=True)
    scaled = descend([SOURCE, gate], is_product=True, kernels=0, bends=True)
    assert scaled[0].kernels == 0
    assert passed_block([SOURCE, scaled]) is None


def test_the_longest_way_counts_behind_a_sum() -> None:
    total = descend([SOURCE, _kernel(_kernel(SOURCE, bends=True))], is_product=False, kernels=0, bends=False)
    assert (total[0].kernels, total[0].bent) == (2, True)


def test_what_begins_with_one_part_of_the_channels_runs_past_no_block_of_another_part() -> None:
    first, second = without(SOURCE, np.array([2, 3])), without(SOURCE, np.array([0, 1]))
    assert passed_block([second, _kernel(first, bends=True)]) is None
    fork = passed_block([first, _kernel(SOURCE, bends=True)])
    assert fork is not None and fork.ids.tolist() == [0, 1]


def test_behind_a_kernel_what_is_cut_off_was_made_from_the_whole_tensor() -> None:
    behind = {**_kernel(SOURCE), 1: Descent(np.array([4, 5]))}
    left = without(behind, np.array([4, 5]))
    assert list(left) == [0] and left[0].ids.tolist() == [0, 1, 2, 3]
