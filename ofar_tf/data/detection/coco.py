"""Folders of images with annotations in COCO's JSON."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ofar_tf.data.class_folders import WHOLE
from ofar_tf.data.class_names import check_class_names
from ofar_tf.data.detection.annotations import OWN_AREA
from ofar_tf.data.detection.dataset import DetectionDataset
from ofar_tf.data.detection.folder import annotated_folder
from ofar_tf.data.detection.found_split import FoundSplit
from ofar_tf.data.detection.split_places import by_split, require_folder, split_named
from ofar_tf.data.file_names import readable

LAYOUTS = (
    "data_dir/instances_<split>.json or data_dir/annotations/instances_<split>.json, with images in "
    "data_dir/<split>, data_dir/images/<split> or data_dir/images; or data_dir/<split>/*.json beside its images"
)
# The first that finds a file is used: COCO's own folder has captions and key points beside the instances.
_PATTERNS = ("instances_*.json", "annotations/instances_*.json", "*.json", "annotations/*.json", "*/*.json")
_YEAR = re.compile(r"_?(19|20)\d\d$")
_LARGEST = 2**63


def coco_folder(data_dir: Path, *, split_seed: int = 0) -> DetectionDataset:
    """Returns the images of a folder with boxes from files in COCO's format.

    Boxes that leave their image are cut and empty ones left out, with a note that counts them; `iscrowd` and `area` are
    kept. Images without boxes stay. Class indices are contiguous, in the order of the category numbers.

    Args:
        data_dir: The folder. Files `instances_train2017.json` and `instances_val2017.json` are the splits `train` and
            `val`; a single file is the split `all`, of which 80 % are `train` and the rest `validation`.
        split_seed: Another seed gives the images another order, and so other parts.

    Raises:
        FileNotFoundError: The folder, its annotations or images that these name do not exist.
        ValueError: A file is damaged or contradicts itself.
    """
    files = _annotation_files(data_dir)
    contents = {split: _read(path) for split, path in files.items()}
    categories = {split: _categories(content, files[split]) for split, content in contents.items()}
    known = next(iter(categories.values()))
    for split, others in categories.items():
        if others != known:
            raise ValueError(
                "Expected the same categories, with the same numbers, in every file. Received: others in "
                f"{readable(files[split])} than in {readable(next(iter(files.values())))}."
            )
    found = {
        split: _found(content, files[split], data_dir=data_dir, split=split, labels=list(known))
        for split, content in contents.items()
    }
    names = check_class_names(list(known.values()), where=readable(next(iter(files.values()))), least=1)
    return annotated_folder("coco_folder", found, class_names=names, data_dir=data_dir, split_seed=split_seed)


def _annotation_files(data_dir: Path) -> dict[str, Path]:
    require_folder(data_dir, layouts=LAYOUTS)
    paths = next((found for pattern in _PATTERNS if (found := sorted(data_dir.glob(pattern)))), [])
    if not paths:
        raise FileNotFoundError(f"Expected {LAYOUTS}. Received: data_dir={readable(data_dir)} (no such file).")
    if len(paths) == 1:
        return {WHOLE: paths[0]}
    return by_split(((_split_name(path, data_dir), path, path) for path in paths), what="annotation file")


def _split_name(path: Path, data_dir: Path) -> str:
    beside_images = path.parent != data_dir and path.parent.name != "annotations"
    stem = path.parent.name if beside_images else path.stem.removeprefix("instances_")
    return split_named(re.sub(r"[^\w-]+", "_", _YEAR.sub("", stem)) or stem)


def _read(path: Path) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Expected JSON in {readable(path)}. Received: {reason:.200}.") from error
    parts = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(part), list) for part in parts):
        raise ValueError(
            f"Expected COCO's lists of images, annotations and categories in {readable(path)}. "
            f"Received: {sorted(content) if isinstance(content, dict) else type(content).__name__!r:.200}."
        )
    return content


def _categories(content: Mapping[str, Any], path: Path) -> dict[int, str]:
    """Returns the names of the categories by their numbers, in the order of these."""
    numbers = _column(content["categories"], "id", int, path)
    names = _column(content["categories"], "name", str, path)
    _check_distinct(numbers, "category", path)
    return dict(sorted(zip(numbers, names, strict=True)))


def _found(content: Mapping[str, Any], path: Path, *, data_dir: Path, split: str, labels: Sequence[int]) -> FoundSplit:
    images, annotations = content["images"], content["annotations"]
    if not images:
        raise ValueError(f"Expected at least one image in {readable(path)}. Received: none.")
    ids, names = _column(images, "id", int, path), _column(images, "file_name", str, path)
    _check_distinct(ids, "image", path)
    _check_distinct(names, "file", path)
    rows = _places(_column(annotations, "image_id", int, path), ids, "image", path)
    boxes = _boxes(annotations, path)
    return FoundSplit(
        source=path,
        root=_image_root(names, path, data_dir=data_dir, split=split),
        files=names,
        image_ids=np.array(ids, np.int64),
        sizes=np.array([_size(image, path) for image in images], np.int64),
        rows=rows,
        boxes=np.stack([boxes[:, 1], boxes[:, 0], boxes[:, 1] + boxes[:, 3], boxes[:, 0] + boxes[:, 2]], axis=1),
        classes=_places(_column(annotations, "category_id", int, path), labels, "category", path),
        crowd=np.array([bool(each.get("iscrowd")) for each in annotations], bool),
        areas=np.array([_area(each, path) for each in annotations], np.float64),
    )


def _column(entries: Sequence[Any], key: str, kind: type, path: Path) -> list[Any]:
    values: list[Any] = [each.get(key) if isinstance(each, dict) else None for each in entries]

    def is_right(value: Any) -> bool:
        return type(value) is kind and not (isinstance(value, int) and abs(value) >= _LARGEST)

    wrong = next((index for index, value in enumerate(values) if not is_right(value)), None)
    if wrong is not None:
        raise ValueError(
            f"Expected {key!r} as {'a whole number' if kind is int else 'a text'} in every entry of {readable(path)}. "
            f"Received: {entries[wrong]!r:.200}."
        )
    return values


def _check_distinct(values: Sequence[Any], what: str, path: Path) -> None:
    if len(set(values)) < len(values):
        double = Counter(values).most_common(1)[0][0]
        raise ValueError(f"Expected each {what} once in {readable(path)}. Received: {what} {double!r:.200} twice.")


def _places(values: Sequence[int], known: Sequence[int], what: str, path: Path) -> np.ndarray:
    """Returns where each number stands among the known ones, int64."""
    places = {number: place for place, number in enumerate(known)}
    unknown = next((value for value in values if value not in places), None)
    if unknown is not None:
        count = sum(value not in places for value in values)
        raise ValueError(
            f"Expected annotations of the {len(places)} {what} numbers that {readable(path)} lists. "
            f"Received: {count} of another {what}, the first of number {unknown}."
        )
    return np.array([places[value] for value in values], np.int64)


def _boxes(annotations: Sequence[Mapping[str, Any]], path: Path) -> np.ndarray:
    """Returns left, top, width and height, float64 [T, 4]."""
    boxes = [each.get("bbox") for each in annotations]
    wrong = next((index for index, box in enumerate(boxes) if not _is_box(box)), None)
    if wrong is not None:
        raise ValueError(
            f"Expected 'bbox' as four numbers in every annotation of {readable(path)}. "
            f"Received: {annotations[wrong]!r:.200}."
        )
    return np.array(boxes, np.float64).reshape(-1, 4)


def _is_box(box: Any) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(type(number) in (int, float) for number in box)


def _size(image: Mapping[str, Any], path: Path) -> tuple[int, int]:
    size = image.get("height", 0), image.get("width", 0)
    if not all(isinstance(side, (int, float)) and 0 <= side < 2**31 for side in size):
        raise ValueError(f"Expected images with height and width in {readable(path)}. Received: {image!r:.200}.")
    return int(size[0]), int(size[1])


def _area(annotation: Mapping[str, Any], path: Path) -> float:
    area = annotation.get("area", OWN_AREA)
    if not isinstance(area, (int, float)) or not (0.0 <= area < float("inf") or area == OWN_AREA):
        raise ValueError(f"Expected areas of 0 or more in {readable(path)}. Received: {annotation!r:.200}.")
    return float(area)


def _image_root(names: Sequence[str], path: Path, *, data_dir: Path, split: str) -> Path:
    """Returns the first of the usual folders that holds an image, and so should hold all."""
    stem = path.stem.removeprefix("instances_")
    inner = [part for part in (stem, split) if part != WHOLE]
    usual = [*inner, *(f"images/{part}" for part in inner), "images", "."]
    roots = [data_dir / each for each in usual] + [path.parent]
    return next((root for root in roots if any((root / name).is_file() for name in names)), roots[0])
