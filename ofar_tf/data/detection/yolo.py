"""Folders of images with annotations in YOLO's text files."""

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

from ofar_tf.data.class_folders import WHOLE
from ofar_tf.data.class_names import check_class_names
from ofar_tf.data.detection.dataset import DetectionDataset
from ofar_tf.data.detection.folder import annotated_folder
from ofar_tf.data.detection.found_boxes import FoundImage, gathered, images_in
from ofar_tf.data.detection.split_places import by_split, folders_in, require_folder, split_named
from ofar_tf.data.file_names import readable
from ofar_tf.data.text_file import read_text

LAYOUTS = (
    "data_dir/images/<split> with data_dir/labels/<split>, data_dir/<split>/images with data_dir/<split>/labels, or "
    "the same without splits or with the text files beside the images; and data.yaml or classes.txt with the names"
)
_NAME_LISTS = ("classes.txt", "obj.names", "labels/classes.txt")
_BOX, _LEAST_POLYGON = 4, 6
# Boxes may leave their image, but shares beyond this one are pixels.
_FARTHEST = 2.0


class _Part(NamedTuple):
    """The folders of a split."""

    images: Path
    labels: Path


def yolo_folder(data_dir: Path, *, split_seed: int = 0) -> DetectionDataset:
    """Returns the images of a folder with boxes from YOLO's text files, one for each image that shows something.

    A line is `class x y width height`, the box's centre and sides as shares of the image; a confidence behind them, and
    the key points that `kpt_shape` in `data.yaml` tells of, are left out. Of a polygon, `class x y x y x y ...`, the
    box around it is taken. An image without a file shows nothing. Where splits lie is told by folders, not by the
    paths in `data.yaml`, which seldom hold on another machine.

    Args:
        data_dir: The folder; without folders of splits, `train` is 80 % of `all` and `validation` the rest.
        split_seed: Another seed gives the images another order, and so other parts.

    Raises:
        FileNotFoundError: The folder, its images or the names of the classes do not exist.
        ValueError: A file is damaged, or is for no image.
    """
    found_names, points = _class_names(data_dir)
    names = check_class_names(found_names, where=readable(data_dir), least=1)
    found = {}
    for split, part in _parts(data_dir).items():
        images = images_in(part.images)
        files = {path.stem: path for path in sorted(part.labels.glob("*.txt")) if path.name != "classes.txt"}
        _check_files(files, images, part)
        known = {stem: _read(path, classes=len(names), points=points) for stem, path in files.items()}
        read = [(name, known.get(stem, FoundImage((0, 0), [], [], []))) for stem, name in images.items()]
        found[split] = gathered(read, source=part.labels, root=part.images, label_of=int, relative=True)
    return annotated_folder("yolo_folder", found, class_names=names, data_dir=data_dir, split_seed=split_seed)


def _parts(data_dir: Path) -> dict[str, _Part]:
    require_folder(data_dir, layouts=LAYOUTS)
    outer = {WHOLE: _Part(data_dir / "images", data_dir / "labels")}
    of_images = {each.name: _Part(each, data_dir / "labels" / each.name) for each in folders_in(data_dir / "images")}
    inner = {each.name: _Part(each / "images", each / "labels") for each in folders_in(data_dir)}
    beside = {each.name: _Part(each, each) for each in folders_in(data_dir)}
    for parts in (of_images, outer, inner, beside, {WHOLE: _Part(data_dir, data_dir)}):
        held = {name: part for name, part in parts.items() if images_in(part.images)}
        if any(any(part.labels.glob("*.txt")) for part in held.values()):
            return by_split(((split_named(name), part.images, part) for name, part in held.items()), what="folder")
    raise FileNotFoundError(f"Expected {LAYOUTS}. Received: data_dir={readable(data_dir)} (no images with text files).")


def _check_files(files: dict[str, Path], images: dict[str, str], part: _Part) -> None:
    stray = [stem for stem in files if stem not in images]
    if stray:
        raise FileNotFoundError(
            f"Expected an image in {readable(part.images)} for each text file in {readable(part.labels)}. "
            f"Received: {len(stray)} without one, the first {readable(files[stray[0]].name)}."
        )


def _class_names(data_dir: Path) -> tuple[list[str], int]:
    """Returns the names of the classes, and how many numbers of key points follow each box."""
    for path in sorted([*data_dir.glob("*.yaml"), *data_dir.glob("*.yml")]):
        content = _yaml(path)
        names = _names_in(content, path)
        if names is not None:
            return names, _points_in(content, path)
    for path in (data_dir / name for name in _NAME_LISTS):
        if path.is_file():
            return [line.strip() for line in read_text(path).splitlines() if line.strip()], 0
    raise FileNotFoundError(f"Expected {LAYOUTS}. Received: data_dir={readable(data_dir)} (no names of classes).")


def _yaml(path: Path) -> dict[str, Any]:
    """Returns the entries of a file, all of them texts: to YAML itself a class that is called `no` is false."""
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ValueError(
            f"Expected the package pyyaml, which reads {readable(path)}: pip install 'ofar_tf[detection]'. "
            "Received: no such package."
        ) from error
    try:
        content: Any = yaml.load(read_text(path), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Expected YAML in {readable(path)}. Received: {reason:.200}.") from error
    return content if isinstance(content, dict) else {}


def _names_in(content: dict[str, Any], path: Path) -> list[str] | None:
    """Returns `names`, a list or a mapping from 0 on; None where there is no such entry."""
    names = content.get("names")
    if not names:
        return None
    if isinstance(names, dict) and set(names) == set(map(str, range(len(names)))):
        names = [names[str(number)] for number in range(len(names))]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"Expected names as a list, or by numbers from 0 on, in {readable(path)}. Received: {names!r:.200}."
        )
    return names


def _points_in(content: dict[str, Any], path: Path) -> int:
    shape = content.get("kpt_shape", ["0", "0"])
    if not isinstance(shape, list) or len(shape) != 2 or not all(re.fullmatch(r"\d{1,4}", str(each)) for each in shape):
        raise ValueError(f"Expected kpt_shape as two whole numbers in {readable(path)}. Received: {shape!r:.200}.")
    return int(shape[0]) * int(shape[1])


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
