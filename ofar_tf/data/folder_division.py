"""The division of a folder without splits: an order that files' names and a seed decide, and two parts of it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from ofar_tf.data.class_folders import WHOLE
from ofar_tf.data.splits import SplitPart
from ofar_tf.files.file_names import readable

_TRAINING_PERCENT = 80


def scattered_by(name: str, *, seed: int) -> bytes:
    """Returns what files are sorted by: a hash, for their names often come in series.

    Args:
        name: The file's.
        seed: Any int; another one gives another order.
    """
    return hashlib.sha256((f"{seed}/{name}" if seed else name).encode()).digest()


def train_and_validation(size: int, *, least: int = 1, of: str = WHOLE) -> dict[str, SplitPart]:
    """Divides the only split there is.

    Args:
        size: How many images it has.
        least: How many of the first must be in `train`.
        of: Its name.

    Returns:
        `train`, the first 80 % or more, and `validation`, the rest; neither where nothing would be left for it.
    """
    cut = max(round(_TRAINING_PERCENT * size / 100.0), least)
    if cut >= size:
        return {}
    return {"train": SplitPart(of, 0, cut), "validation": SplitPart(of, cut, size)}


def said_of_division(data_dir: Path, parts: Mapping[str, SplitPart], *, lacks: str, how: str, seed: int) -> str:
    """Says how a folder was divided; nothing if it was not.

    Args:
        data_dir: The folder.
        parts: What `train_and_validation` returned.
        lacks: What the folder has none of.
        how: By what the division goes besides the seed.
        seed: That of the order.
    """
    if not parts:
        return ""
    sizes = " and ".join(f"{name} ({part.stop - part.start} images)" for name, part in parts.items())
    return (
        f"{readable(data_dir)} has no {lacks}: it is divided {_TRAINING_PERCENT}/{100 - _TRAINING_PERCENT} into "
        f"{sizes}, {how} and seed {seed}."
    )
