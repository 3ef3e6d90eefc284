"""A folder of images, one sub-folder for each class."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from ofar_tf.data.class_folders import ClassFolder, find_class_folders
from ofar_tf.data.folder_division import said_of_division, scattered_by, train_and_validation
from ofar_tf.data.image_check import check_images, file_decoder
from ofar_tf.data.image_dataset import ImageDataset
from ofar_tf.data.split_names import is_split, split_named
from ofar_tf.data.splits import SplitPart
from ofar_tf.files.file_names import readable


def image_folder(data_dir: Path, *, split_seed: int = 0) -> ImageDataset:
    """Returns the images of a folder as a data set.

    Every file is opened once, so that one that was cut off, or is no image, is found now and not in the middle of a
    training run (see `check_images`, also for large folders, which are not opened again at every start). Damage within
    a file comes to light when the image is used, see `damage`.

    The order within a split depends on the files' names and the seed only. It is scattered within each class (file
    names often come in series), and every prefix holds each class in proportion, to about one image: `all[:80%]` and
    `all[80%:]` can be trained on and evaluated with.

    Args:
        data_dir: Holds a folder for each class, and then there are the split `all` and two parts of it, `train` and
            `validation`, its first 80 % (more where some class would be left out) and the rest; or a folder for each
            split, all of them with the same folders for classes. Splits that are called otherwise than usual, such as
            `Training`, go by their usual names too. Images in folders within that of a class are the class's. Hidden
            files and folders are ignored.
        split_seed: Any int; another seed gives other orders, and so another `train` and `validation`.

    Returns:
        The data set; class names are the folders' names, sorted.

    Raises:
        FileNotFoundError: The folder does not exist or holds no images in that layout.
        ValueError: A class folder is empty or holds something that is not a readable image, there is only
            one class, a name is no text, or splits differ in their classes.
    """
    class_names, found = find_class_folders(data_dir)
    findings = check_images(folder for folders in found.values() for folder in folders)
    files = {split: _in_order(folders, seed=split_seed) for split, folders in found.items()}
    within, division = _further_splits(data_dir, files, seed=split_seed)

    def table(split: str, start: int, stop: int) -> tuple[tf.Tensor, tf.Tensor]:
        return files[split].paths[start:stop], tf.constant(files[split].labels[start:stop])

    return ImageDataset(
        name="image_folder",
        class_names=class_names,
        split_sizes={split: len(chosen.labels) for split, chosen in files.items()},
        read=lambda split, start, stop: tf.data.Dataset.from_tensor_slices(table(split, start, stop)),
        decode=file_decoder(findings),
        depth=findings.depth,
        names=lambda split, start, stop: tf.data.Dataset.from_tensor_slices(files[split].paths[start:stop]),
        table=table,
        within=within,
        division=division,
        digest=lambda split: files[split].digest,
        notes=(*findings.said_of_bits(data_dir), *_said_of_depth(found)),
        files=lambda split, start, stop: files[split].files(start, stop),
    )


def _said_of_depth(found: Mapping[str, Sequence[ClassFolder]]) -> tuple[str, ...]:
    """Says whether images of classes lie in folders further down: they may be masks, or what was sorted out."""
    below = [
        folder.path / name
        for folders in found.values()
        for folder in folders
        for name in dict.fromkeys(file.rpartition("/")[0] for file in folder.files)
        if name
    ]
    if not below:
        return ()
    more = f" and {len(below) - 1} more" if len(below) > 1 else ""
    return (f"Images in folders within those of classes are used as well: {readable(below[0])}{more}.",)


@dataclass(frozen=True)
class _Files:
    """The files of one split in its order.

    Attributes:
        root: The folder that holds the class folders.
        names: `class/file`.
        labels: int64.
    """

    root: Path
    names: Sequence[str]
    labels: np.ndarray

    @cached_property
    def paths(self) -> tf.Tensor:
        return tf.constant([f"{self.root}/{name}" for name in self.names])

    def files(self, start: int, stop: int) -> list[Path]:
        return [self.root / name for name in self.names[start:stop]]

    @cached_property
    def digest(self) -> str:
        lines = (f"{label} {name}\n" for label, name in zip(self.labels.tolist(), self.names, strict=True))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def _in_order(folders: Sequence[ClassFolder], *, seed: int) -> _Files:
    names, places, labels = [], [], []
    for label, folder in enumerate(folders):
        scattered = sorted(folder.files, key=partial(scattered_by, seed=seed))
        names += [f"{folder.path.name}/{name}" for name in scattered]
        places.append((np.arange(len(scattered)) + 0.5) / max(1, len(scattered)))
        labels.append(np.full(len(scattered), label))
    # By place, and at equal places by class.
    order = np.lexsort((np.concatenate(labels), np.concatenate(places)))
    return _Files(folders[0].path.parent, [names[index] for index in order], np.concatenate(labels)[order])


def _further_splits(data_dir: Path, files: Mapping[str, _Files], *, seed: int) -> tuple[dict[str, SplitPart], str]:
    """Returns what other names there are for splits and parts of them, and a sentence that says so."""
    only, *others = files
    if others or is_split(only):
        called = _usually_called(files)
        said = ", ".join(f"{part.name} is {usual!r}" for usual, part in called.items())
        return called, f"Folders of splits by their usual names: {said}." if called else ""
    labels = files[only].labels
    _, first_of_class = np.unique(labels, return_index=True)
    parts = train_and_validation(len(labels), least=int(first_of_class.max()) + 1, of=only)
    how = "each class in proportion, by the files' names"
    return parts, said_of_division(data_dir, parts, lacks="folders of splits", how=how, seed=seed)


def _usually_called(files: Mapping[str, _Files]) -> dict[str, SplitPart]:
    """Returns the splits by their usual names, where they have others: the folder `Training` is `train` too."""
    called: dict[str, list[str]] = {}
    for name in files:
        called.setdefault(split_named(name), []).append(name)
    return {
        usual: SplitPart(names[0], 0, len(files[names[0]].labels))
        for usual, names in called.items()
        if len(names) == 1 and names != [usual]
    }
