"""What `data.yaml` says of a folder with YOLO's text files."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ofar_tf.data.detection.split_places import nested, visible_files
from ofar_tf.files.file_names import readable
from ofar_tf.files.text_file import read_text


class Description(NamedTuple):
    """What `data.yaml` says: the classes, how many numbers of key points follow each box, and the places of splits."""

    names: list[str] | None = None
    points: int = 0
    places: Mapping[str, list[str]] = {}


def described(data_dir: Path) -> Description:
    """Reads the first file that names classes, `data.yaml` before others; nothing is known where there is none.

    Args:
        data_dir: The folder; where it holds but one folder, it may be in there.

    Raises:
        ValueError: If a file is damaged.
    """
    kinds = ("*.yaml", "*.yml")
    paths = [path for folder in nested(data_dir) for kind in kinds for path in visible_files(folder, kind)]
    for path in sorted(paths, key=lambda path: path.stem not in ("data", "dataset")):
        content = _yaml(path)
        names = _names_in(content, path)
        if names is not None:
            return Description(names, _points_in(content, path), _places_in(content))
    return Description()


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


def _places_in(content: dict[str, Any]) -> dict[str, list[str]]:
    """Returns the folders or lists of each split, one or several of each."""
    given = {split: content.get(split) for split in ("train", "val", "test")}
    listed = {split: [place] if isinstance(place, str) else place for split, place in given.items() if place}
    return {
        split: [place.replace("\\", "/") for place in places]
        for split, places in listed.items()
        if isinstance(places, list) and all(isinstance(place, str) for place in places)
    }
