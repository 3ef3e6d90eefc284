import itertools
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.evaluation.pareto import pareto_front

POINTS = st.lists(st.builds(SimpleNamespace, macs=st.integers(1, 6), merit=st.integers(0, 6).map(float)), max_size=12)


def dominates(first, second):
    no_worse = first.macs <= second.macs and first.merit >= second.merit
    return no_worse and (first.macs, first.merit) != (second.macs, second.merit)


@given(POINTS)
def test_a_point_is_on_the_front_exactly_if_no_other_dominates_it(points):
    assert pareto_front(points) == [not any(dominates(other, point) for other in points) for point in points]


def test_a_front_read_off_by_hand():
    points = [SimpleNamespace(macs=macs, merit=merit) for macs, merit in [(100, 0.9), (50, 0.8), (70, 0.8), (60, 0.85)]]
    assert pareto_front(points) == [True, True, False, True]


@given(POINTS, st.lists(st.floats(0, 3), min_size=12, max_size=12))
def test_with_noise_every_point_has_one_on_the_front_that_costs_no_more_and_is_within_its_noise(points, noise):
    # Equal points were measured on the same images, so their noise is equal.
    known = {}
    noise = [known.setdefault((point.macs, point.merit), each) for point, each in zip(points, noise, strict=False)]
    front = pareto_front(points, noise=noise)
    chosen = [(point, margin) for point, margin, is_best in zip(points, noise, front, strict=False) if is_best]
    for point in points:
        assert any(best.macs <= point.macs and point.merit <= best.merit + margin for best, margin in chosen)
    # Along the front, more cost buys more than the noise; only equal points share a place.
    steps = sorted(chosen, key=lambda pair: (pair[0].macs, pair[0].merit))
    for (cheaper, margin), (dearer, _) in itertools.pairwise(steps):
        assert vars(cheaper) == vars(dearer) or dearer.merit > cheaper.merit + margin


@given(POINTS)
def test_no_noise_is_a_noise_of_zero(points):
    assert pareto_front(points, noise=[0.0] * len(points)) == pareto_front(points)


def test_a_front_with_noise_read_off_by_hand():
    points = [
        SimpleNamespace(macs=macs, merit=merit) for macs, merit in [(50, 0.80), (60, 0.81), (70, 0.82), (80, 0.9)]
    ]
    # 0.81 is within the noise of 0.80; 0.82 is not, measured from 0.80 and not from 0.81.
    assert pareto_front(points, noise=[0.012] * 4) == [True, False, True, True]
