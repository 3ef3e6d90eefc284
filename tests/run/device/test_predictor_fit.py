import numpy as np
import pytest

from ofar_tf.run.device.predictor_fit import fit_coefficients, unseen_error

TRUE = {"operators": 0.02, "pointwise.macs": 3e-8, "depthwise.macs": 2e-7, "add.activations": 0.0}


def works_and_times(count, *, noise=0.0, seed=0):
    random = np.random.default_rng(seed)
    most = {"operators": 1, "pointwise.macs": 3e8, "depthwise.macs": 2e7, "add.activations": 1e6}
    works = [{name: float(amount * random.uniform(0.1, 1)) for name, amount in most.items()} for _ in range(count)]
    times = [sum(TRUE[name] * amount for name, amount in work.items()) for work in works]
    return works, [time * random.uniform(1 - noise, 1 + noise) for time in times]


def test_times_that_are_a_sum_of_work_give_its_coefficients_back():
    coefficients = fit_coefficients(*works_and_times(12))
    assert coefficients == pytest.approx(TRUE, abs=1e-15)
    assert unseen_error(*works_and_times(12)).p90 < 1e-9


def test_coefficients_are_those_of_ordinary_least_squares_of_the_shares_where_none_is_negative():
    works, times = works_and_times(30, noise=0.01)
    works = [{name: amount for name, amount in work.items() if name != "add.activations"} for work in works]
    table = np.array([list(work.values()) for work in works]) / np.array(times)[:, np.newaxis]
    expected = np.linalg.lstsq(table, np.ones(30), rcond=None)[0]
    assert (expected > 0).all()
    assert list(fit_coefficients(works, times).values()) == pytest.approx(list(expected))


def test_no_coefficient_is_negative_however_noisy_the_times():
    for seed in range(5):
        found = fit_coefficients(*works_and_times(15, noise=0.5, seed=seed))
        assert min(found.values()) >= 0


def test_the_error_is_that_of_structures_that_were_left_out():
    # One kind of work, times 1, 1 and 2 for equal work: without one of them the best share is 1 / t, averaged so that
    # c minimizes the sum of (c / t - 1)^2: c = sum(1 / t) / sum(1 / t^2).
    works, times = [{"operators": 1.0}] * 3, [1.0, 1.0, 2.0]
    left_out = [(1 + 0.5) / (1 + 0.25)] * 2 + [1.0]
    shares = sorted(abs(c / t - 1) for c, t in zip(left_out, times, strict=True))
    error = unseen_error(works, times)
    assert (error.median, error.structures) == (pytest.approx(shares[1]), 3)
    assert error.p90 == pytest.approx(shares[1] + 0.8 * (shares[2] - shares[1]))


def test_work_that_only_the_structure_left_out_does_counts_nothing():
    works = [{"operators": 1.0}, {"operators": 1.0}, {"operators": 1.0, "add.activations": 5.0}]
    assert unseen_error(works, [1.0, 1.0, 1.0]).p90 == pytest.approx(0.0)
