import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ofar_tf.data.detection.views import on_canvas
from ofar_tf.text.size import Size

SIDES = st.integers(1, 60)


@settings(max_examples=40, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES)
def test_an_image_touches_two_opposite_edges_of_the_canvas_and_keeps_its_aspect(height, width, rows, columns):
    image = tf.fill([height, width, 3], tf.constant(200, tf.uint8))
    canvas, content = on_canvas(image, Size(rows, columns))
    assert canvas.shape == (rows, columns, 3) and canvas.dtype == tf.float32
    down, right = np.round(content * [rows, columns]).astype(int)
    assert (down == rows and 1 <= right <= columns) or (right == columns and 1 <= down <= rows)
    scale = min(rows / height, columns / width)
    assert abs(down - max(height * scale, 1)) <= 0.5 and abs(right - max(width * scale, 1)) <= 0.5
    np.testing.assert_allclose(canvas[:down, :right], 200.0, atol=1e-3)
    assert not canvas[down:].numpy().any() and not canvas[:, right:].numpy().any()
