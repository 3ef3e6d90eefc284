from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.evaluation.pareto import pareto_front

POINTS = st.lists(st.builds(SimpleNamespace, macs=st.integers(1, 6), top1=st.integers(0, 6).map(float)), max_size=12)


def dominates(first, second):
    no_worse = first.macs <= second.macs and first.top1 >= second.top1
    return no_worse and (first.macs, first.top1) != (second.macs, second.top1)


@given(POINTS)
def test_a_point_is_on_the_front_exactly_if_no_other_dominates_it(points):
    assert pareto_front(points) == [not any(dominates(other, point) for other in points) for point in points]


def test_a_front_read_off_by_hand():
    points = [SimpleNamespace(macs=macs, top1=top1) for macs, top1 in [(100, 0.9), (50, 0.8), (70, 0.8), (60, 0.85)]]
    assert pareto_front(points) == [True, True, False, True]
