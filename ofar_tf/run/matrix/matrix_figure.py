"""`matrix.png`: how good every name is, against multiply-adds."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ofar_tf.evaluation.pareto import pareto_front
from ofar_tf.files import atomic_file
from ofar_tf.run.matrix.matrix_table import MatrixRow
from ofar_tf.text.quantities import format_quantity


def plot_matrix(path: str | Path, rows: Sequence[MatrixRow], *, title: str = "") -> None:
    """Draws the mean of every structure at every resolution, one colour for each name.

    The bars are one standard deviation over seeds, up and down. The line of a name joins its own Pareto front: what it
    offers at each cost.

    Args:
        path: The image to write, in the format that its suffix names.
        rows: The means, at least one.
        title: Written above.
    """
    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(
        title=title,
        xlabel="Multiply-adds (MACs) of one image; the lines join what no other network of theirs beats",
        ylabel=rows[0].metric.heading,
    )
    for position, name in enumerate(dict.fromkeys(row.name for row in rows)):
        _draw_name(axes, [row for row in rows if row.name == name], color=f"C{position % 10}")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda macs, _: format_quantity(round(macs))))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)
    with atomic_file.replacing(path) as temporary:
        figure.savefig(temporary)


def _draw_name(axes: Axes, rows: Sequence[MatrixRow], *, color: str) -> None:
    factor = rows[0].metric.factor
    axes.errorbar(
        [row.macs for row in rows],
        [factor * row.mean for row in rows],
        yerr=[factor * (row.deviation or 0.0) for row in rows],
        fmt="o",
        markersize=4,
        capsize=2,
        elinewidth=1,
        color=color,
    )
    front = sorted(
        (row.macs, factor * row.mean) for row, is_best in zip(rows, pareto_front(rows), strict=True) if is_best
    )
    axes.plot(*zip(*front, strict=True), color=color, label=rows[0].name)
