from ofar_tf.pruning.lineage import Descent, descend, passed_block

SOURCE = {0: Descent("source")}


def _kernel(parent: dict[int, Descent], *, bends: bool = False) -> dict[int, Descent]:
    return descend([parent], is_product=False, kernels=1, bends=bends)


def test_a_block_of_two_kernels_beside_a_projection_is_passed() -> None:
    block = _kernel(_kernel(SOURCE, bends=True))
    fork = passed_block([block, _kernel(SOURCE)])
    assert fork is not None and fork.ids == "source"


def test_branches_of_one_kernel_each_pass_nothing() -> None:
    assert passed_block([_kernel(SOURCE, bends=True), _kernel(SOURCE, bends=True)]) is None


def test_a_sum_of_linear_branches_is_one_linear_map_and_no_block() -> None:
    assert passed_block([SOURCE, _kernel(SOURCE)]) is None
    assert passed_block([SOURCE, _kernel(SOURCE, bends=True)]) is not None


def test_branches_that_share_no_tensor_pass_nothing() -> None:
    assert passed_block([{0: Descent("one")}, {1: Descent("other", kernels=2, bent=True)}]) is None


def test_a_gate_takes_what_it_scales_through_no_block() -> None:
    gate = _kernel(_kernel(SOURCE, bends=True), bends=True)
    scaled = descend([SOURCE, gate], is_product=True, kernels=0, bends=True)
    assert scaled[0].kernels == 0
    assert passed_block([SOURCE, scaled]) is None


def test_the_longest_way_counts_behind_a_sum() -> None:
    total = descend([SOURCE, _kernel(_kernel(SOURCE, bends=True))], is_product=False, kernels=0, bends=False)
    assert (total[0].kernels, total[0].bent) == (2, True)
