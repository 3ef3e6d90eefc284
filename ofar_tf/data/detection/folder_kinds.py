"""Which kind of data set a folder is, said where it was taken for another one, or where it is none that is read."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ofar_tf.data.class_folders import find_class_folders
from ofar_tf.data.detection.coco_files import read_annotations
from ofar_tf.data.detection.unread_annotations import unread_annotations, unread_kind_of
from ofar_tf.data.detection.voc import parts_of as voc_parts_of
from ofar_tf.data.detection.yolo import holds_text_files
from ofar_tf.files.given_path import given_path

CLASSES = "image_folder"
"""The data set of folders of classes, without boxes."""


def _holds_vocs_xml(data_dir: Path) -> bool:
    parts = voc_parts_of(data_dir).values()
    return not any(unread_kind_of(path) for part in parts for path in [*part.files.values()][:1])


# Each raises an error or says no where the folder is of another kind.
_WITH_BOXES: Mapping[str, Callable[[Path], Any]] = {
    "coco_folder": read_annotations,
    "voc_folder": _holds_vocs_xml,
    "yolo_folder": holds_text_files,
}


@contextmanager
def named_where_another(data_dir: str | os.PathLike[str] | None, *, taken_for: str) -> Iterator[None]:
    """Adds to the refusal of a folder which kind it is; what is wrong within a folder of the right kind is left as is.

    Of annotations that nothing reads, it adds what they are and what to do.

    Args:
        data_dir: The folder; nothing is said of none.
        taken_for: The data set that was asked for.

    Raises:
        FileNotFoundError: In the place of one that names another kind's files only.
        ValueError: The same.
    """
    try:
        yield
    except (FileNotFoundError, ValueError) as error:
        found = _kinds(given_path(data_dir)) if data_dir else []
        if not data_dir or taken_for in found:
            raise
        more = f"it is a folder for {' or '.join(map(_flags, found))}" if found else ""
        more = more or unread_annotations(given_path(data_dir), classes=taken_for == CLASSES)
        if not more:
            raise
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f"{str(error).removesuffix('.')}; {more}.") from error


def _kinds(data_dir: Path) -> list[str]:
    """Returns the data sets whose files lie in a folder; classes only where there are no boxes."""
    boxes = [name for name, find in _WITH_BOXES.items() if _finds(find, data_dir)]
    if boxes:
        return boxes
    return [CLASSES] if _finds(find_class_folders, data_dir) else []


def _finds(find: Callable[[Path], Any], data_dir: Path) -> bool:
    try:
        return bool(find(data_dir))
    except (OSError, ValueError):
        return False


def _flags(name: str) -> str:
    return f"--dataset={name} without --task=detection" if name == CLASSES else f"--task=detection --dataset={name}"
