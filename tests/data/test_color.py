import colorsys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from ofar_tf.data.color import brightness, color_jitter, contrast, hue, saturation

IMAGE = np.random.default_rng(0).integers(0, 256, (9, 11, 3)).astype(np.float32)
FLAT = np.full([4, 4, 3], 100.0, np.float32)


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.7])
@pytest.mark.parametrize(
    ("operation", "oracle"),
    [(brightness, ImageEnhance.Brightness), (contrast, ImageEnhance.Contrast), (saturation, ImageEnhance.Color)],
)
def test_enhancements_are_those_of_pillow_up_to_its_rounding(operation, oracle, factor):
    expected = np.asarray(oracle(Image.fromarray(IMAGE.astype(np.uint8))).enhance(factor), np.float32)
    # Pillow rounds the grey it blends with, and then the blend.
    np.testing.assert_allclose(operation(IMAGE, factor), expected, atol=1.5)


@pytest.mark.parametrize("operation", [brightness, contrast, saturation])
def test_a_factor_of_one_changes_no_bit(operation):
    np.testing.assert_array_equal(operation(IMAGE, 1.0), IMAGE)


@pytest.mark.parametrize("turn", [-0.4, -0.1, 0.0, 0.25, 0.5])
def test_hues_are_turned_on_the_colour_circle(turn):
    def turned(pixel):
        h, s, v = colorsys.rgb_to_hsv(*pixel)
        return colorsys.hsv_to_rgb((h + turn) % 1.0, s, v)

    expected = [[turned(pixel) for pixel in row] for row in IMAGE / 255.0]
    np.testing.assert_allclose(hue(IMAGE, turn), 255.0 * np.array(expected), atol=1e-3)


def test_red_turned_by_a_third_is_green():
    np.testing.assert_allclose(hue(tf.constant([[[255.0, 0.0, 0.0]]]), 1 / 3), [[[0.0, 255.0, 0.0]]], atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(strength=st.floats(0.0, 1.0), draw=st.integers(0, 2**31 - 1))
def test_jittered_values_stay_in_range_and_depend_on_the_seed_only(strength, draw):
    seed = tf.constant([1, draw], tf.int64)
    jittered = color_jitter(IMAGE, seed, strength=strength).numpy()
    assert jittered.min() >= 0.0 and jittered.max() <= 255.0
    np.testing.assert_array_equal(color_jitter(IMAGE, seed, strength=strength), jittered)


def test_a_strength_of_nothing_changes_nothing():
    np.testing.assert_allclose(color_jitter(IMAGE, tf.constant([1, 2]), strength=0.0), IMAGE, atol=1e-3)


def test_the_factors_of_a_strength_spread_evenly_around_one():
    # On a flat grey only brightness acts, so the value is 100 times its factor.
    factors = [
        float(color_jitter(FLAT, tf.constant([0, draw], tf.int64), strength=0.4)[0, 0, 0]) / 100 for draw in range(150)
    ]
    assert 0.6 <= min(factors) < 0.65 and 1.35 < max(factors) <= 1.4
    assert abs(np.mean(factors) - 1.0) < 0.08  # Four standard errors of 0.4 / sqrt(3 * 150).
