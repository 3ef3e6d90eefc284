import pytest
import tensorflow as tf

from ofar_tf.devices.full_float32 import full_float32
from ofar_tf.evaluation.trained_pool import TrainedPool
from ofar_tf.family import family_export

shortened = tf.config.experimental.tensor_float_32_execution_enabled


@pytest.fixture(params=[True, False])
def setting(request):
    before = shortened()
    tf.config.experimental.enable_tensor_float_32_execution(request.param)
    yield request.param
    tf.config.experimental.enable_tensor_float_32_execution(before)


def test_products_are_exact_inside_and_as_before_afterwards(setting):
    with full_float32():
        assert not shortened()
    assert shortened() is setting


def test_the_setting_comes_back_after_an_error(setting):
    with pytest.raises(RuntimeError, match="inside"), full_float32():
        raise RuntimeError("inside")
    assert shortened() is setting


class Spy:
    """Notes how products are computed when it is first used, and ends the work."""

    def __init__(self):
        self.seen = []

    def __getattr__(self, name):
        self.seen.append(shortened())
        raise LookupError(name)

    def __iter__(self):
        self.seen.append(shortened())
        raise LookupError


def test_networks_are_measured_in_full_float32():
    pool = Spy()
    with pytest.raises(LookupError):
        TrainedPool.evaluate(pool)
    assert pool.seen == [False]


def test_networks_are_compared_with_their_files_in_full_float32():
    anything = Spy()
    arguments = dict.fromkeys(("task", "folder", "labels", "header", "images", "spec"), anything)
    with pytest.raises(LookupError):
        family_export.export_family(anything, **arguments)
    assert anything.seen == [False]
