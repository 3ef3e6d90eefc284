"""The figure of accuracy against multiply-adds."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ofar_tf.evaluation.pareto import pareto_front
from ofar_tf.evaluation.subnet_table import SubnetRow
from ofar_tf.files import atomic_file
from ofar_tf.tasks.scores import Metric
from ofar_tf.text.quantities import format_quantity

_LINE_STYLES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class ParetoPoint:
    """One measured network.

    Attributes:
        structure: Its structure; the points of one structure and variant are joined by a line.
        resolution: What it sees, written beside the mark.
        macs: Multiply-adds of one image.
        merit: What networks are compared by, so that more is better (`Scores.merit`).
        variant: What else tells lines apart, for instance the precision; it chooses the style of the line.
        interval: The interval of the accuracy, drawn as a bar; None for no bar.
        noise: How much more accurate another must be before the difference counts (`pareto_front`).
        pareto: Whether it is on the front; None to find that out from costs, accuracies and noise.
    """

    structure: str
    resolution: str
    macs: int
    merit: float
    variant: str = ""
    interval: tuple[float, float] | None = None
    noise: float = 0.0
    pareto: bool | None = None


def points_of(rows: Sequence[SubnetRow]) -> list[ParetoPoint]:
    """Returns a point for each row of a table, with the front that the table shows."""
    return [
        ParetoPoint(
            row.structure,
            str(row.resolution),
            row.macs,
            row.scores.merit,
            interval=row.scores.interval,
            pareto=row.pareto,
        )
        for row in rows
    ]


class Chart(Figure):
    """A drawing that notebooks show by themselves, whatever Matplotlib is set to."""

    def _repr_png_(self) -> bytes:
        with io.BytesIO() as file:
            self.savefig(file, format="png")
            return file.getvalue()


def draw_pareto(points: Sequence[ParetoPoint], *, metric: Metric, title: str = "") -> Chart:
    """Draws accuracy against multiply-adds.

    Each structure is a line and each resolution a mark on it, with a bar for the interval of its accuracy; the Pareto
    front lies underneath.

    Args:
        points: What was measured, at least one.
        metric: What they are compared by.
        title: Written above.

    Returns:
        The drawing, which belongs to no window.

    Raises:
        ValueError: If there are no points.
    """
    if not points:
        raise ValueError("Expected at least one point to draw. Received: none.")
    figure = Chart(figsize=(8, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    scale = metric.factor if metric.higher_is_better else -metric.factor
    _draw_front(axes, points, scale=scale)
    _draw_lines(axes, points, scale=scale)
    _label_axes(axes, title=title, metric=metric, has_bars=any(point.interval for point in points))
    return figure


def plot_pareto(path: str | Path, points: Sequence[ParetoPoint], *, metric: Metric, title: str = "") -> None:
    """Writes what `draw_pareto` draws.

    Args:
        path: The image to write, in the format that its suffix names.
        points: What was measured, at least one.
        metric: What they are compared by.
        title: Written above.

    Raises:
        ValueError: If there are no points.
    """
    figure = draw_pareto(points, metric=metric, title=title)
    with atomic_file.replacing(path) as temporary:
        figure.savefig(temporary)


def _draw_front(axes: Axes, points: Sequence[ParetoPoint], *, scale: int) -> None:
    found = pareto_front(points, noise=[point.noise for point in points])
    front = [best if point.pareto is None else point.pareto for point, best in zip(points, found, strict=True)]
    chosen = sorted((point.macs, point.merit) for point, is_best in zip(points, front, strict=True) if is_best)
    if not chosen:
        return
    macs, merits = zip(*chosen, strict=True)
    axes.plot(macs, [scale * value for value in merits], color="0.8", linewidth=7, label="Pareto front", zorder=1)


def _draw_lines(axes: Axes, points: Sequence[ParetoPoint], *, scale: int) -> None:
    structures = list(dict.fromkeys(point.structure for point in points))
    variants = list(dict.fromkeys(point.variant for point in points))
    for structure, variant in dict.fromkeys((point.structure, point.variant) for point in points):
        line = sorted(
            (point for point in points if (point.structure, point.variant) == (structure, variant)),
            key=lambda point: point.macs,
        )
        colour = f"C{structures.index(structure) % 10}"
        _draw_bars(axes, line, colour=colour)
        axes.plot(
            [point.macs for point in line],
            [scale * point.merit for point in line],
            color=colour,
            linestyle=_LINE_STYLES[variants.index(variant) % len(_LINE_STYLES)],
            marker="o",
            label=f"{structure} {variant}".strip(),
            zorder=2,
        )
        # The variants of one network cost the same, so one label above serves them all.
        for point in line if variant == variants[0] else []:
            place = (point.macs, scale * point.merit)
            axes.annotate(f"{point.resolution}", place, (-4, 6), textcoords="offset points", ha="right", fontsize=7)


def _draw_bars(axes: Axes, line: Sequence[ParetoPoint], *, colour: str) -> None:
    bars = [(point.macs, *(100 * end for end in point.interval)) for point in line if point.interval]
    if bars:
        macs, lows, highs = zip(*bars, strict=True)
        axes.vlines(macs, lows, highs, color=colour, linewidth=1, alpha=0.6, zorder=2)


def _label_axes(axes: Axes, *, title: str, metric: Metric, has_bars: bool) -> None:
    axes.set_title(title)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda macs, _: format_quantity(round(macs))))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("Multiply-adds (MACs) of one image; the marks say the resolution in pixels")
    axes.set_ylabel(metric.heading + (", with its 95 % interval" if has_bars else ""))
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)
