"""Folders of images with annotations in YOLO's text files."""

import math
from collections.abc import Mapping
from pathlib import Path

from ofar_tf.data.class_names import check_class_names
from ofar_tf.data.detection.box_readings import CENTRED
from ofar_tf.data.detection.dataset import DetectionDataset
from ofar_tf.data.detection.folder import annotated_folder
from ofar_tf.data.detection.found_boxes import FoundImage, gathered
from ofar_tf.data.detection.split_places import require_folder
from ofar_tf.data.detection.yolo_description import described
from ofar_tf.data.detection.yolo_files import LAYOUTS, Part, class_names, parts_of
from ofar_tf.files.file_names import readable
from ofar_tf.files.text_file import read_text

_BOX, _LEAST_POLYGON = 4, 6
# Boxes may leave their image, but shares beyond this one are pixels.
_FARTHEST = 2.0


def yolo_folder(data_dir: Path, *, split_seed: int = 0) -> DetectionDataset:
    """Returns the images of a folder with boxes from YOLO's text files, one for each image that shows something.

    A line is `class x y width height`, the box's centre and sides as shares of the image; a confidence behind them, and
    the key points that `kpt_shape` in `data.yaml` tells of, are left out. Of a polygon, `class x y x y x y ...`, the
    box around it is taken. An image without a file shows nothing. Where splits lie is told by folders, not by the
    paths in `data.yaml`, which seldom hold on another machine; but a folder of another name is the split that
    `data.yaml` gives it to. Images and text files may lie in folders below these.

    Args:
        data_dir: The folder. Without folders of splits, splits are the lists `train.txt`, `val.txt` and `test.txt` of
            images; without either, `train` is 80 % of `all` and `validation` the rest.
        split_seed: Another seed gives the images another order, and so other parts.

    Raises:
        FileNotFoundError: The folder, its images or the names of the classes do not exist.
        ValueError: A file is damaged, or is for no image.
    """
    require_folder(data_dir, layouts=LAYOUTS)
    description = described(data_dir)
    parts = parts_of(data_dir, description)
    names = check_class_names(class_names(data_dir, description, parts), where=readable(data_dir), least=1)
    found = {}
    for split, part in parts.items():
        files = _files(part).items()
        known = {stem: _read(path, classes=len(names), points=description.points) for stem, path in files}
        read = [(name, known.get(stem, FoundImage((0, 0), [], [], []))) for stem, name in part.images.items()]
        found[split] = gathered(read, source=part.labels, root=part.root, label_of=int, read_as=CENTRED, relative=True)
    return annotated_folder(
        "yolo_folder", found, class_names=names, data_dir=data_dir, split_seed=split_seed, notes=_notes(parts)
    )


def holds_text_files(data_dir: Path) -> bool:
    """Whether YOLO's text files lie beside images, whatever is wrong with them.

    Args:
        data_dir: See `yolo_folder`.

    Raises:
        FileNotFoundError: If there are no text files beside images.
        ValueError: If `data.yaml` is damaged, or two places are of one split.
    """
    parts = parts_of(data_dir, described(data_dir)).values()
    return any(_holds_boxes(path) for part in parts for path in part.files.values())


def _files(part: Part) -> dict[str, Path]:
    """Returns the text files of boxes by the names of their images; notes of another kind may lie beside them."""
    stray = [path for name, path in part.files.items() if name not in part.known and _holds_boxes(path)]
    if stray:
        raise FileNotFoundError(
            f"Expected an image in {readable(part.root)} for each text file in {readable(part.labels)}. "
            f"Received: {len(stray)} without one, the first {readable(stray[0].name)}."
        )
    return {name: path for name, path in part.files.items() if name in part.images}


def _notes(parts: Mapping[str, Part]) -> list[str]:
    """Counts the images that lists leave out."""
    used = {(part.root, name) for part in parts.values() for name in part.images}
    known = {(part.root, name) for part in parts.values() for name in part.known}
    return [f"{len(known - used)} images are in no list of a split and are not used."] if known - used else []


def _holds_boxes(path: Path) -> bool:
    """Whether a file begins as annotations do."""
    with path.open("rb") as file:
        return len(_numbers(file.readline(1000).decode("latin-1"))) > _BOX


def _read(path: Path, *, classes: int, points: int) -> FoundImage:
    boxes, labels = [], []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        kind, *numbers = _numbers(line) or [math.nan]
        outline = numbers[:_BOX] if len(numbers) in (_BOX + 1, _BOX + points) else numbers
        if not (kind.is_integer() and 0 <= kind < classes) or not _is_outline(outline):
            raise ValueError(
                f"Expected lines `class x y width height`, with a class from 0 to {classes - 1} and shares of the "
                f"image, in {readable(path)}. Received: line {number}, {line!r:.80}."
            )
        boxes.append(_box(outline))
        labels.append(str(int(kind)))
    return FoundImage((0, 0), boxes, labels, [False] * len(boxes))


def _numbers(line: str) -> list[float]:
    """Returns the numbers of a line; none where it has something else."""
    try:
        return [float(each) for each in line.split()]
    except ValueError:
        return []


def _is_outline(numbers: list[float]) -> bool:
    """Whether these are the four numbers of a box, or the pairs of a polygon."""
    within = all(abs(number) <= _FARTHEST for number in numbers)
    return within and (len(numbers) == _BOX or (len(numbers) >= _LEAST_POLYGON and len(numbers) % 2 == 0))


def _box(numbers: list[float]) -> tuple[float, float, float, float]:
    if len(numbers) == _BOX:
        x, y, width, height = numbers
        return y - height / 2, x - width / 2, y + height / 2, x + width / 2
    across, down = numbers[::2], numbers[1::2]
    return min(down), min(across), max(down), max(across)
