"""Pictures of what networks found, beside what there is to find."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ofar_tf.files import atomic_file
from ofar_tf.tasks.detection.lettering import lettered

Arrays = Mapping[str, np.ndarray]
_COLOURS = colormaps["tab10"].colors  # type: ignore[attr-defined]
_INCHES = 3.2
_HEIGHTS = 1.0, 4 * _INCHES
LEAST_SCORE = 0.3
"""Detections of a lower score are not drawn beside true boxes."""


def draw_detections(
    images: np.ndarray,
    labels: Arrays,
    found: Mapping[str, Arrays],
    *,
    class_names: Sequence[str],
) -> Figure:
    """Draws a row for each image: the true boxes, and beside them what each network found.

    Args:
        images: float [B, H, W, 3] in 0..255, canvases, at least one.
        labels: What is there, as a data set with boxes gives it: `boxes`, `classes`, `crowd` and `content`.
        found: By the network's name, what it found: `boxes` [B, K, 4] as shares of the canvas, `classes` [B, K],
            `scores` [B, K] and `count` [B].
        class_names: The classes.

    Returns:
        The drawing. Crowds, which need not be found, are dashed; what is left of a canvas beside an image is cut off.

    Raises:
        ValueError: There are no images.
    """
    if not len(images):
        raise ValueError("Expected at least one image to draw. Received: none.")
    columns = ["ground truth", *found]
    height, width = images.shape[1:3]
    size = _INCHES * len(columns), _INCHES * height / width * len(images) + 0.3
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    grid = figure.subplots(len(images), len(columns), squeeze=False)
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(name, fontsize=9)
    for index, row in enumerate(grid):
        for axes in row:
            _show(axes, images[index], labels["content"][index])
        _draw_truth(row[0], {name: each[index] for name, each in labels.items()}, class_names)
        for axes, detections in zip(row[1:], found.values(), strict=True):
            _draw_found(axes, {name: each[index] for name, each in detections.items()}, class_names, LEAST_SCORE)
    return figure


def pixels_of(figure: Figure) -> np.ndarray:
    """Draws a figure into memory.

    Args:
        figure: The figure.

    Returns:
        uint8 [h, w, 3].
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def plot_found(
    path: str | Path, image: np.ndarray, content: np.ndarray, found: Arrays, *, names: Sequence[str], least_score: float
) -> None:
    """Writes one image with the boxes that were found in it.

    Args:
        path: The picture to write, in the format that its suffix names.
        image: float [H, W, 3] in 0..255, a canvas.
        content: float [2], the shares of its height and width that the image covers.
        found: `boxes` [K, 4] as shares of the canvas, `classes` [K], `scores` [K] and `count`.
        names: The classes.
        least_score: Detections of a lower score are not drawn.
    """
    height, width = image.shape[:2] * content
    # A strip of a few pixels would be a figure without height, or one of a thousand inches.
    inches = np.clip(2 * _INCHES * height / width, *_HEIGHTS)
    figure = Figure(figsize=(2 * _INCHES, inches), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    _show(axes, image, content)
    _draw_found(axes, found, names, least_score)
    with atomic_file.replacing(path) as temporary:
        figure.savefig(temporary)


def _show(axes: Axes, image: np.ndarray, content: np.ndarray) -> None:
    height, width = image.shape[:2]
    shown = np.maximum(np.round(content * [height, width]).astype(int), 1)
    axes.imshow(np.clip(image[: shown[0], : shown[1]] / 255.0, 0.0, 1.0), extent=(0, content[1], content[0], 0))
    axes.set(xlim=(0, content[1]), ylim=(content[0], 0), xticks=[], yticks=[])
    # Boxes are shares of a canvas that need not be square.
    axes.set_aspect(height / width)


def _draw_truth(axes: Axes, labels: Mapping[str, Any], class_names: Sequence[str]) -> None:
    for box, kind, crowd in zip(labels["boxes"], labels["classes"], labels["crowd"], strict=True):
        if kind >= 0:
            _draw_box(axes, box, kind, class_names[kind], style="--" if crowd else "-")


def _draw_found(axes: Axes, found: Mapping[str, Any], class_names: Sequence[str], least_score: float) -> None:
    # The likeliest lies on top of what else a thing is taken for.
    for place in np.argsort(found["scores"][: int(found["count"])], kind="stable"):
        score, kind = found["scores"][place], int(found["classes"][place])
        if score >= least_score:
            _draw_box(axes, found["boxes"][place], kind, class_names[kind], score=f" {score:.2f}")


def _draw_box(axes: Axes, box: np.ndarray, kind: int, name: str, *, score: str = "", style: str = "-") -> None:
    top, left, bottom, right = box
    colour = _COLOURS[kind % len(_COLOURS)]
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, color=colour, linestyle=style))
    # A class called `5$ and 10$` is no formula.
    look: dict[str, Any] = {"fontsize": 5, "color": "white", "va": "bottom", "clip_on": True, "parse_math": False}
    words, fonts = lettered(name, kind)
    axes.text(left, top, words + score, fontfamily=fonts, backgroundcolor=(*colour, 0.7), **look)
