import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ofar_tf.data.mixing import Mixing

CLASSES, BATCH, SIDE = 6, 6, 12
# Image k is flat, with the value 40 k and the label k: what it is made of can be read off every pixel.
IMAGES = np.broadcast_to(40.0 * np.arange(BATCH, dtype=np.float32)[:, None, None, None], (BATCH, SIDE, SIDE, 3))
LABELS = np.arange(BATCH)
PARTNERS = np.roll(LABELS, -1)


def mix(seed, images=IMAGES, labels=LABELS, **alphas):
    mixing = Mixing(CLASSES, **alphas)
    mixed, probabilities = mixing.mix(tf.constant(images), tf.constant(labels), tf.constant([5, seed], tf.int64))
    return mixed.numpy(), probabilities.numpy()


alphas = st.sampled_from(
    [{"mixup_alpha": 0.2}, {"mixup_alpha": 1.0}, {"cutmix_alpha": 1.0}, {"mixup_alpha": 0.001, "cutmix_alpha": 5.0}]
)


@settings(max_examples=25, deadline=None)
@given(alphas=alphas, seed=st.integers(0, 2**31 - 1))
def test_labels_are_probabilities_of_an_image_and_the_next(alphas, seed):
    images, labels = mix(seed, **alphas)
    assert (images.dtype, labels.dtype, labels.shape) == (np.float32, np.float32, (BATCH, CLASSES))
    np.testing.assert_allclose(labels.sum(axis=1), 1.0, atol=1e-6)
    assert labels.min() >= 0.0
    np.testing.assert_allclose(labels[LABELS, LABELS] + labels[LABELS, PARTNERS], 1.0, atol=1e-6)
    assert images.min() >= 0.0 and images.max() <= 255.0


@settings(max_examples=15, deadline=None)
@given(alpha=st.sampled_from([0.2, 1.0]), seed=st.integers(0, 2**31 - 1))
def test_mixup_blends_pixels_as_it_blends_labels(alpha, seed):
    images, labels = mix(seed, mixup_alpha=alpha)
    values = labels @ (40.0 * np.arange(CLASSES))
    np.testing.assert_allclose(images, np.broadcast_to(values[:, None, None, None], images.shape), atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_cutmix_labels_are_the_shares_of_the_pixels(seed):
    images, labels = mix(seed, cutmix_alpha=1.0)
    for index, (own, partner) in enumerate(zip(LABELS, PARTNERS, strict=True)):
        pasted = images[index] == 40.0 * partner
        assert np.all(pasted | (images[index] == 40.0 * own))
        assert labels[index, partner] == pytest.approx(pasted.mean(), abs=1e-6)
        rows, columns, _ = np.nonzero(pasted)
        if len(rows):  # One rectangle, without holes.
            assert pasted.sum() == 3 * (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


@pytest.mark.parametrize("alpha", [0.001, 0.2, 1.0, 4.0])
def test_mixups_shares_have_the_moments_of_the_beta_distribution(alpha):
    count = 4000
    _, labels = mix(0, np.zeros([count, 1, 1, 3], np.float32), np.arange(count) % CLASSES, mixup_alpha=alpha)
    shares = labels[np.arange(count), np.arange(count) % CLASSES]
    assert np.mean(shares) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(count))
    # Beta(a, a) has the variance 1 / (4 (2 a + 1)).
    assert np.var(shares) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)


def test_cutmixs_windows_lie_everywhere():
    count = 500
    images = np.zeros([count, SIDE, SIDE, 3], np.float32)
    images[1::2] = 200.0
    mixed, _ = mix(0, images, np.arange(count) % 2, cutmix_alpha=1.0)
    often = np.mean(mixed != images, axis=(0, 3))
    assert often.min() > 0.1
    np.testing.assert_allclose(often, often[::-1, ::-1], atol=0.15)


def test_each_pair_draws_for_itself():
    _, labels = mix(0, mixup_alpha=1.0)
    assert len(set(labels[LABELS, LABELS])) == BATCH


def test_with_both_each_batch_takes_one_of_the_two_at_even_odds():
    blended = 0
    mixing = Mixing(CLASSES, mixup_alpha=1.0, cutmix_alpha=1.0)
    traced = tf.function(mixing.mix)
    for seed in range(100):
        images, _ = traced(tf.constant(IMAGES), tf.constant(LABELS), tf.constant([5, seed], tf.int64))
        flat = np.ptp(images, axis=(1, 2, 3)) == 0.0  # CutMix can leave single images whole, not all of them.
        blended += bool(flat.all())
        assert flat.all() or np.isin(images, IMAGES).all()
    assert 30 <= blended <= 70  # Four standard deviations from 50 on each side.


@pytest.mark.parametrize("alphas", [{"mixup_alpha": 0.3}, {"cutmix_alpha": 1.0}])
def test_equal_seeds_mix_equally_and_others_do_not(alphas):
    first, again, other = (mix(seed, **alphas)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_without_alphas_images_stay_as_they_are():
    images, labels = mix(0)
    assert not Mixing(CLASSES).mixes
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, np.eye(CLASSES))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mixup_alpha": -0.1}, "Expected a mixup_alpha of 0 or more. Received: mixup_alpha=-0.1."),
        ({"cutmix_alpha": float("nan")}, "Expected a cutmix_alpha of 0 or more. Received: cutmix_alpha=nan."),
        ({"classes": 1}, "Expected two or more classes. Received: classes=1."),
    ],
)
def test_mixing_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Mixing(**({"classes": 3} | arguments))
