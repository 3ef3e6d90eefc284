from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ofar_tf.run.matrix import matrix_figure
from ofar_tf.run.matrix.matrix_figure import plot_matrix
from ofar_tf.run.matrix.matrix_table import MatrixRow
from ofar_tf.tasks.classification.accuracy import METRIC


def test_a_name_is_a_front_with_bars_of_one_deviation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(
        matrix_figure, "FigureCanvasAgg", lambda figure: drawn.append(figure) or FigureCanvasAgg(figure)
    )
    rows = [
        MatrixRow("a", "large", 24, macs=4_000_000, params=9, metric=METRIC, mean=0.9, deviation=0.01, seeds=(0, 1)),
        MatrixRow("a", "large", 16, macs=2_000_000, params=9, metric=METRIC, mean=0.7, deviation=0.02, seeds=(0, 1)),
        MatrixRow("a", "small", 24, macs=1_000_000, params=4, metric=METRIC, mean=0.8, deviation=0.03, seeds=(0, 1)),
        MatrixRow("b", "large", 24, macs=4_000_000, params=9, metric=METRIC, mean=0.6, deviation=None, seeds=(0,)),
    ]
    plot_matrix(tmp_path / "matrix.png", rows, title="some")
    (axes,) = drawn[0].axes
    assert axes.get_title() == "some" and axes.get_xscale() == "log"
    lines = {line.get_label(): line for line in axes.get_lines()}
    # The middle one costs more than the small one, and is right less often.
    assert list(lines["a"].get_xdata()) == [1_000_000, 4_000_000]
    np.testing.assert_allclose(lines["a"].get_ydata(), [80, 90])
    bars = [segment[:, 1] for segment in axes.collections[0].get_segments()]
    np.testing.assert_allclose(bars, [[89, 91], [68, 72], [77, 83]])
    with Image.open(tmp_path / "matrix.png") as image:
        assert image.size == (1200, 750)


def test_one_network_alone_can_be_drawn(tmp_path: Path) -> None:
    plot_matrix(
        tmp_path / "m.png",
        [MatrixRow("a", "s", 24, macs=1000, params=9, metric=METRIC, mean=0.9, deviation=None, seeds=(0,))],
    )
    assert (tmp_path / "m.png").stat().st_size > 0
