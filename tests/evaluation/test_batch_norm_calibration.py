import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ofar_tf.devices.replicas import Replicas
from ofar_tf.evaluation import batch_norm_calibration
from ofar_tf.evaluation.batch_norm_calibration import CalibratedNetwork, PooledStatistics, calibrate, evaluate
from ofar_tf.evaluation.pool_accuracy import PoolAccuracy, PoolImages
from ofar_tf.pruning.channel_groups import find_channel_groups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.tasks.classification.accuracy import AccuracyEvaluator
from ofar_tf.tasks.classification.task import Classification


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5), seed=st.integers(0, 100))
def test_pooled_statistics_are_those_of_all_images_as_one_batch(sizes, seed):
    random = np.random.default_rng(seed)
    activations = [random.normal(3.0, 2.0, (sum(sizes), channels)) for channels in (2, 3)]
    pooled = PooledStatistics([2, 3])
    for rows in np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]):
        pooled.add([(x[rows].mean(0), x[rows].var(0)) for x in activations], images=len(rows))
    for (mean, variance), x in zip(pooled.result(), activations, strict=True):
        np.testing.assert_allclose(mean, x.mean(0), rtol=1e-6)
        np.testing.assert_allclose(variance, x.var(0), rtol=1e-5)


def test_what_several_processes_pooled_adds_up():
    # This process: two images of mean 1 and variance 1. The other: six of mean 5 and variance 3.
    pooled = PooledStatistics([1])
    pooled.add([([1.0], [1.0])], images=2)
    pooled.share(lambda sums: sums + np.array([6.0, 6 * 5.0, 6 * (3.0 + 25.0)]))
    ((mean, variance),) = pooled.result()
    assert mean == pytest.approx([4.0])  # (2 * 1 + 6 * 5) / 8
    assert variance == pytest.approx([5.5])  # (2 * 2 + 6 * 28) / 8 - 4 ** 2


def test_networks_without_batch_norm_have_no_statistics():
    pooled = PooledStatistics([])
    pooled.add([], images=3)
    assert pooled.result() == []


def test_statistics_of_no_images_are_refused():
    with pytest.raises(ValueError, match="Expected at least one image to calibrate BatchNorm with"):
        PooledStatistics([2]).result()


@pytest.fixture(scope="module")
def whole():
    layers = keras.layers
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(layers.Rescaling(1 / 255.0)(image))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.BatchNormalization()(x)))
    supernet = keras.Model(image, layers.Dense(7)(x))
    return supernet, find_channel_groups(supernet)


@pytest.fixture(scope="module")
def batches():
    """Twelve images; the last of three batches is a smaller one."""
    random = np.random.default_rng(1)
    images, labels = random.uniform(0, 255, (12, 8, 8, 3)).astype(np.float32), random.integers(0, 7, 12)
    return [(tf.constant(images[rows]), labels[rows]) for rows in (slice(0, 5), slice(5, 10), slice(10, 12))]


def stock_logits(supernet, batches):
    """What stock Keras computes, its BatchNorm set to the statistics of all images as one batch."""
    conv, norm = supernet.layers[2], supernet.layers[3]
    images = tf.concat([images for images, _ in batches], 0)
    activations = np.asarray(conv(images / 255.0), np.float64)
    network = keras.models.clone_model(supernet)
    network.set_weights(supernet.get_weights())
    copy = network.get_layer(norm.name)
    copy.moving_mean.assign(activations.mean((0, 1, 2)))
    copy.moving_variance.assign(activations.var((0, 1, 2)))
    return np.asarray(network(images))


def test_a_calibrated_network_is_stock_keras_with_the_statistics_of_all_images(whole, batches):
    supernet, groups = whole
    network = CalibratedNetwork(supernet, groups, ChannelMask.full(groups))
    calibrate([network], batches, resolutions=[8])
    found = np.concatenate([network.outputs(images, resolution=8) for images, _ in batches])
    np.testing.assert_allclose(found, stock_logits(supernet, batches), atol=1e-5)


def test_accuracy_counts_every_image_once(whole, batches):
    supernet, groups = whole
    network = CalibratedNetwork(supernet, groups, ChannelMask.full(groups))
    calibrate([network], batches, resolutions=[8])
    (scores,) = evaluate([network], batches, resolutions=[8], judge=lambda size: AccuracyEvaluator()).values()
    order = np.argsort(-stock_logits(supernet, batches), axis=1)
    labels = np.concatenate([labels for _, labels in batches])[:, None]
    assert scores.images == 12
    assert scores.values["top1"] == pytest.approx(np.mean(order[:, :1] == labels))
    assert scores.values["top5"] == pytest.approx(np.mean((order[:, :5] == labels).any(1)))


def test_no_images_have_no_accuracy(whole, batches):
    supernet, groups = whole
    network = CalibratedNetwork(supernet, groups, ChannelMask.full(groups))
    calibrate([network], batches, resolutions=[8])
    with pytest.raises(ValueError, match="Expected at least one image to measure accuracy on"):
        evaluate([network], [], resolutions=[8], judge=lambda size: AccuracyEvaluator())


def test_a_strategy_of_one_device_measures_the_same(whole, batches):
    supernet, groups = whole
    images = PoolImages(calibration=lambda: batches, evaluation=lambda: batches)
    task = Classification(classes=supernet.output_shape[-1])
    measured = [
        PoolAccuracy(supernet, groups, images, task=task, strategy=strategy).measure(
            [ChannelMask.full(groups)], resolutions=[8, 4]
        )
        for strategy in (None, tf.distribute.MirroredStrategy(["CPU:0"]))
    ]
    assert measured[0] == measured[1]
    assert [(index, str(size)) for index, size in measured[0]] == [(0, "8"), (0, "4")]


def test_networks_that_run_two_at_a_time_are_measured_as_one_by_one(whole, batches, monkeypatch):
    supernet, groups = whole
    keep = np.arange(groups.size) % 2 == 0
    masks = [ChannelMask.full(groups), ChannelMask(groups.groups, keep)]
    found = []
    for accelerated in (True, False):
        monkeypatch.setattr(batch_norm_calibration, "is_accelerated", lambda accelerated=accelerated: accelerated)
        networks = [CalibratedNetwork(supernet, groups, mask) for mask in masks]
        calibrate(networks, batches, resolutions=[8, 4])
        scores = evaluate(networks, batches, resolutions=[8, 4], judge=lambda size: AccuracyEvaluator())
        statistics = [network.statistics(resolution) for network in networks for resolution in (8, 4)]
        found.append((scores, np.concatenate([mean for each in statistics for mean, _ in each])))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_one_device_takes_one_batch_at_a_time():
    replicas = Replicas()
    assert list(replicas.groups("abc")) == [["a"], ["b"], ["c"]]
    double = replicas.traced(lambda batch, factor: batch * factor, tf.TensorSpec([None]), tf.TensorSpec([]))
    for size in (3, 2):
        (result,) = double([tf.ones([size])], tf.constant(2.0))
        np.testing.assert_array_equal(result, [2.0] * size)
    np.testing.assert_array_equal(replicas.total(np.arange(3)), [0, 1, 2])


def test_statistics_that_were_found_before_stand_in_for_the_images(whole, batches):
    supernet, groups = whole
    network = CalibratedNetwork(supernet, groups, ChannelMask.full(groups))
    calibrate([network], batches, resolutions=[8])
    found, expected = network.statistics(8), network.outputs(batches[0][0], resolution=8)
    network.refresh()
    with pytest.raises(ValueError, match="Expected at least one image"):
        network.statistics(8)
    network.adopt(found, resolution=8)
    np.testing.assert_array_equal(network.outputs(batches[0][0], resolution=8), expected)


def test_statistics_of_another_network_are_refused(whole):
    supernet, groups = whole
    network = CalibratedNetwork(supernet, groups, ChannelMask.full(groups))
    with pytest.raises(ValueError, match=r"Expected statistics of \[4\] channels. Received: of \[3\]."):
        network.adopt([(np.zeros(3), np.ones(3))], resolution=8)
