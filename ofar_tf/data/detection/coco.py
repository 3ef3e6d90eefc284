"""Folders of images with annotations in COCO's JSON."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ofar_tf.data.class_names import check_class_names
from ofar_tf.data.detection.annotations import OWN_AREA
from ofar_tf.data.detection.box_readings import SIZED
from ofar_tf.data.detection.coco_files import images_of, read_annotations
from ofar_tf.data.detection.dataset import DetectionDataset
from ofar_tf.data.detection.folder import annotated_folder
from ofar_tf.data.detection.found_split import FoundSplit
from ofar_tf.files.file_names import readable

_LARGEST = 2**63


def coco_folder(data_dir: Path, *, split_seed: int = 0) -> DetectionDataset:
    """Returns the images of a folder with boxes from files in COCO's format.

    Boxes that leave their image are cut and empty ones left out, with a note that counts them; `iscrowd` and `area` are
    kept. Images without boxes stay. Class indices are contiguous, in the order of the category numbers; a file may list
    fewer categories than another, and what others name as their `supercategory`, without a box of its own, is no class.
    Numbers of images and categories may be written as texts or with a point; images whose numbers are other texts are
    counted. Where an annotation has no box but polygons, the box around these is taken. Images whose paths were those
    of another machine are looked for by the ends of these, and in the other folders of `data_dir`. Files may be packed
    by gzip. A JSON file of another kind beside them is noted and not used.

    Args:
        data_dir: The folder. Files `instances_train2017.json` and `instances_val2017.json` are the splits `train` and
            `val`; a single file is the split `all`, of which 80 % are `train` and the rest `validation`.
        split_seed: Another seed gives the images another order, and so other parts.

    Raises:
        FileNotFoundError: The folder, its annotations or images that these name do not exist.
        ValueError: A file is damaged or contradicts itself.
    """
    read, notes = read_annotations(data_dir)
    files = {split: path for split, (path, _) in read.items()}
    contents = {split: content for split, (_, content) in read.items()}
    categories = {split: _categories(content, files[split]) for split, content in contents.items()}
    known = _merged(categories, files)
    roots = _roots(known, contents.values(), files)
    known = {number: name for number, name in known.items() if number not in roots}
    found = {
        split: _found(content, files[split], data_dir=data_dir, split=split, labels=list(known))
        for split, content in contents.items()
    }
    names = check_class_names(list(known.values()), where=readable(next(iter(files.values()))), least=1)
    notes += [
        f"The category {name!r:.80} is no class: others stand under it, and no box is of it." for name in roots.values()
    ]
    return annotated_folder(
        "coco_folder", found, class_names=names, data_dir=data_dir, split_seed=split_seed, notes=notes
    )


def _merged(categories: Mapping[str, Mapping[int, str]], files: Mapping[str, Path]) -> dict[int, str]:
    """Returns the categories of all files in the order of their numbers; some tools list those that occur only."""
    merged: dict[int, str] = {}
    owners: dict[int, str] = {}
    for split, names in categories.items():
        for number, name in names.items():
            if merged.setdefault(number, name) != name:
                raise ValueError(
                    "Expected the same categories, with the same numbers, in every file. Received: number "
                    f"{number} as {merged[number]!r:.80} in {readable(files[owners[number]])} and {name!r:.80} in "
                    f"{readable(files[split])}."
                )
            owners.setdefault(number, split)
    return dict(sorted(merged.items()))


def _roots(
    known: Mapping[int, str], contents: Iterable[Mapping[str, Any]], files: Mapping[str, Path]
) -> dict[int, str]:
    """Returns the categories that only others stand under: Roboflow lists the project so, as one more category."""
    of_files = list(zip(contents, files.values(), strict=True))
    above: dict[int, str] = {}
    for content, path in of_files:
        above |= {_number(each, "id", path): str(each.get("supercategory")) for each in content["categories"]}
    top = {number: name for number, name in known.items() if above[number] not in known.values()}
    roots = {number: name for number, name in top.items() if name in above.values()}
    if not roots:
        return {}  # As a rule; annotations may be a million.
    used = {_number(each, "category_id", path) for content, path in of_files for each in content["annotations"]}
    return {number: name for number, name in roots.items() if number not in used}


def _categories(content: Mapping[str, Any], path: Path) -> dict[int, str]:
    """Returns the names of the categories by their numbers, in the order of these."""
    numbers = [_number(each, "id", path) for each in content["categories"]]
    names = _texts(content["categories"], "name", path)
    _check_distinct(numbers, "category", path)
    return dict(sorted(zip(numbers, names, strict=True)))


def _found(content: Mapping[str, Any], path: Path, *, data_dir: Path, split: str, labels: Sequence[int]) -> FoundSplit:
    images, annotations = content["images"], content["annotations"]
    if not images:
        raise ValueError(f"Expected at least one image in {readable(path)}. Received: none.")
    names = [name.replace("\\", "/") for name in _texts(images, "file_name", path)]
    ids = [_key(each, "id", path) for each in images]
    _check_distinct(ids, "image", path)
    rows = _places([_key(each, "image_id", path) for each in annotations], ids, "image", path)
    boxes = np.array([_box(each, path) for each in annotations], np.float64).reshape(-1, 4)
    root, names = images_of(names, path, data_dir=data_dir, split=split)
    _check_distinct(names, "file", path)
    return FoundSplit(
        source=path,
        root=root,
        files=names,
        image_ids=np.array(ids if all(isinstance(each, int) for each in ids) else range(len(ids)), np.int64),
        sizes=np.array([_size(image, path) for image in images], np.int64),
        rows=rows,
        boxes=np.stack([boxes[:, 1], boxes[:, 0], boxes[:, 1] + boxes[:, 3], boxes[:, 0] + boxes[:, 2]], axis=1),
        classes=_places([_number(each, "category_id", path) for each in annotations], labels, "category", path),
        crowd=np.array([_flag(each, path) for each in annotations], bool),
        areas=np.array([_area(each, path) for each in annotations], np.float64),
        read_as=SIZED,
    )


def _texts(entries: Sequence[Any], key: str, path: Path) -> list[str]:
    values: list[Any] = [each.get(key) if isinstance(each, dict) else None for each in entries]
    wrong = next((index for index, value in enumerate(values) if not isinstance(value, str)), None)
    if wrong is not None:
        raise ValueError(
            f"Expected {key!r} as a text in every entry of {readable(path)}. Received: {entries[wrong]!r:.200}."
        )
    return values


def _key(entry: Any, key: str, path: Path) -> int | str:
    """Returns what an entry is known by: a whole number, also one that is written as a text or with a point; a text."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"0|[1-9]\d{0,17}", value) else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is int and abs(value) < _LARGEST:
        return value
    raise _no_number(entry, key, path)


def _number(entry: Any, key: str, path: Path) -> int:
    value = _key(entry, key, path)
    if isinstance(value, str):
        raise _no_number(entry, key, path)
    return value


def _no_number(entry: Any, key: str, path: Path) -> ValueError:
    return ValueError(
        f"Expected {key!r} as a whole number in every entry of {readable(path)}. Received: {entry!r:.200}."
    )


def _check_distinct(values: Sequence[Any], what: str, path: Path) -> None:
    if len(set(values)) < len(values):
        double = Counter(values).most_common(1)[0][0]
        raise ValueError(f"Expected each {what} once in {readable(path)}. Received: {what} {double!r:.200} twice.")


def _places(values: Sequence[Any], known: Sequence[Any], what: str, path: Path) -> np.ndarray:
    """Returns where each number stands among the known ones, int64."""
    places = {number: place for place, number in enumerate(known)}
    unknown = next((value for value in values if value not in places), None)
    if unknown is not None:
        count = sum(value not in places for value in values)
        raise ValueError(
            f"Expected annotations of the {len(places)} {what} numbers that {readable(path)} lists. "
            f"Received: {count} of another {what}, the first of number {unknown!r:.80}."
        )
    return np.array([places[value] for value in values], np.int64)


def _box(annotation: Mapping[str, Any], path: Path) -> Sequence[float]:
    """Returns left, top, width and height; where there is no box, of the box around its polygons."""
    box = annotation.get("bbox") or _around(annotation.get("segmentation"))
    if not _are_numbers(box) or len(box) != 4:
        raise ValueError(
            f"Expected 'bbox' as four numbers in every annotation of {readable(path)}. Received: {annotation!r:.200}."
        )
    return box


def _around(polygons: Any) -> list[float]:
    if not isinstance(polygons, list) or not all(_are_numbers(polygon) for polygon in polygons):
        return []
    across = [number for polygon in polygons for number in polygon[::2]]
    down = [number for polygon in polygons for number in polygon[1::2]]
    return [min(across), min(down), max(across) - min(across), max(down) - min(down)] if down else []


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(
        type(number) is float or (type(number) is int and abs(number) < _LARGEST) for number in values
    )


def _size(image: Mapping[str, Any], path: Path) -> tuple[int, int]:
    said = [image.get(side) or 0 for side in ("height", "width")]
    size = [int(side) if isinstance(side, str) and re.fullmatch(r"[0-9]{1,6}", side) else side for side in said]
    if not all(isinstance(side, (int, float)) and 0 <= side < 2**31 for side in size):
        raise ValueError(f"Expected images with height and width in {readable(path)}. Received: {image!r:.200}.")
    return int(size[0]), int(size[1])


def _flag(annotation: Mapping[str, Any], path: Path) -> bool:
    flag = annotation.get("iscrowd") or 0
    if flag not in (0, 1, "0", "1"):
        raise ValueError(f"Expected 'iscrowd' as 0 or 1 in {readable(path)}. Received: {annotation!r:.200}.")
    return bool(int(flag))


def _area(annotation: Mapping[str, Any], path: Path) -> float:
    area = annotation.get("area")
    if area is None:
        return OWN_AREA
    if not isinstance(area, (int, float)) or not (0.0 <= area < float("inf") or area == OWN_AREA):
        raise ValueError(f"Expected areas of 0 or more in {readable(path)}. Received: {annotation!r:.200}.")
    return float(area)
