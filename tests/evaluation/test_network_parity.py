from types import SimpleNamespace

import numpy as np
import pytest

from ofar_tf.evaluation.network_parity import NetworkParity, masked_sliced_difference, sliced_keras_difference


def network_of(*outputs):
    return SimpleNamespace(
        refresh=lambda mask: None, outputs_in_training=lambda images, *, resolution: np.array(outputs)
    )


@pytest.mark.parametrize(
    ("masked", "sliced", "difference"),
    # Outputs of a head that begins with zeros are zero altogether.
    [((1.0, -4.0), (1.5, -4.0), 0.125), ((0.0, 0.0), (0.0, 0.0), 0.0), ((0.5, 0.0), (0.0, 0.0), 0.5)],
)
def test_the_difference_of_two_forms_is_relative_to_the_largest_output(masked, sliced, difference):
    compared = masked_sliced_difference(network_of(*masked), network_of(*sliced), None, None, resolution=None)
    assert compared == difference


@pytest.mark.parametrize(("value", "passes"), [(0.0, True), (1e-3, True), (2e-3, False), (float("nan"), False)])
def test_a_difference_that_is_no_number_is_one(value, passes):
    for parity in (NetworkParity(value, 0.0), NetworkParity(0.0, value)):
        assert (parity.reasons == ()) == passes


@pytest.mark.parametrize("kind", ["classes", "boxes"])
def test_an_output_that_is_no_number_is_found_beside_one_that_is(kind):
    shipped = {"classes": np.ones([1, 2]), "boxes": np.ones([1, 2])}
    exported = {**shipped, kind: np.full([1, 2], np.nan)}
    assert np.isnan(sliced_keras_difference(shipped, lambda images, *, training: exported, None))
    networks = [network_of_detections(each) for each in (shipped, exported)]
    assert np.isnan(masked_sliced_difference(*networks, None, None, resolution=None))


def network_of_detections(outputs):
    return SimpleNamespace(refresh=lambda mask: None, outputs_in_training=lambda images, *, resolution: outputs)
