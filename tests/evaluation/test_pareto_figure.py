import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from ofar_tf.evaluation import pareto_figure
from ofar_tf.evaluation.pareto_figure import ParetoPoint, plot_pareto
from ofar_tf.tasks.classification.accuracy import METRIC

POINTS = [
    ParetoPoint("small", "16", 1_000_000, 0.7),
    ParetoPoint("small", "24", 2_250_000, 0.8),
    ParetoPoint("large", "16", 3_000_000, 0.75),
    ParetoPoint("large", "24", 6_750_000, 0.9),
]


@pytest.fixture
def figures(monkeypatch):
    """Collects the figures that are drawn."""
    drawn = []
    monkeypatch.setattr(
        pareto_figure, "FigureCanvasAgg", lambda figure: drawn.append(figure) or FigureCanvasAgg(figure)
    )
    return drawn


def test_each_structure_is_a_line_over_the_front(tmp_path, figures):
    plot_pareto(tmp_path / "pareto.png", POINTS, metric=METRIC, title="Family")
    (axes,) = figures[0].axes
    front, small, large = axes.get_lines()
    # The third point costs more than the second and is less accurate.
    assert list(front.get_xdata()) == [1_000_000, 2_250_000, 6_750_000]
    assert [line.get_label() for line in (small, large)] == ["small", "large"]
    assert list(large.get_ydata()) == [75.0, 90.0]
    assert axes.get_xscale() == "log" and axes.get_title() == "Family"
    assert sorted(text.get_text() for text in axes.texts) == ["16", "16", "24", "24"]
    assert "2M" in [label.get_text() for label in axes.get_xticklabels()]


def test_the_file_is_an_image_and_nothing_is_left_beside_it(tmp_path):
    plot_pareto(tmp_path / "new" / "pareto.png", POINTS, metric=METRIC)
    with Image.open(tmp_path / "new" / "pareto.png") as image:
        assert image.size == (1200, 750)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["pareto.png"]


def test_variants_share_a_colour_and_differ_in_style(tmp_path, figures):
    points = [ParetoPoint("small", "16", 10**6, 0.7, variant=variant) for variant in ("float32", "int8")]
    plot_pareto(tmp_path / "pareto.png", points, metric=METRIC)
    _, first, second = figures[0].axes[0].get_lines()
    assert first.get_color() == second.get_color() and first.get_linestyle() != second.get_linestyle()
    assert second.get_label() == "small int8"
    assert [text.get_text() for text in figures[0].axes[0].texts] == ["16"]


def test_no_points_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Expected at least one point to draw"):
        plot_pareto(tmp_path / "pareto.png", [], metric=METRIC)


def test_each_point_has_a_bar_for_its_interval_and_the_front_leaves_out_what_is_noise(tmp_path, figures):
    points = [
        ParetoPoint("small", "16", 10**6, 0.70, interval=(0.65, 0.75), noise=0.03),
        ParetoPoint("small", "24", 2 * 10**6, 0.72, interval=(0.67, 0.77), noise=0.03),
        ParetoPoint("large", "24", 4 * 10**6, 0.80, interval=(0.75, 0.85), noise=0.03),
    ]
    plot_pareto(tmp_path / "pareto.png", points, metric=METRIC)
    (axes,) = figures[0].axes
    assert list(axes.get_lines()[0].get_xdata()) == [10**6, 4 * 10**6]
    bars = sorted(tuple(segment[:, 1].round(6)) for bars in axes.collections for segment in bars.get_segments())
    assert bars == [(65.0, 75.0), (67.0, 77.0), (75.0, 85.0)]
    assert "95 % interval" in axes.get_ylabel()


def test_a_front_that_was_chosen_elsewhere_is_drawn_as_it_is(tmp_path, figures):
    points = [ParetoPoint("small", "16", 10**6, 0.9, pareto=False), ParetoPoint("large", "16", 10**7, 0.8, pareto=True)]
    plot_pareto(tmp_path / "pareto.png", points, metric=METRIC)
    assert list(figures[0].axes[0].get_lines()[0].get_xdata()) == [10**7]
