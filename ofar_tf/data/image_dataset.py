"""What every data set is to the rest of the program: named splits of labelled RGB images in a fixed order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow as tf

from ofar_tf.data.class_names import check_class_names
from ofar_tf.data.decoding import decode_image_file
from ofar_tf.data.fingerprint import Fingerprint
from ofar_tf.data.read_ahead import untuned
from ofar_tf.data.splits import SplitPart, check_disjoint, parse_split

__all__ = ["ImageDataset", "decode_image_file"]


@dataclass(frozen=True)
class ImageDataset:
    """Labelled RGB images in named splits, always read in the same order.

    An example is kept as a *record*, the cheapest form the source has (a file name, the bytes of a JPEG, a small
    array), so that caches and shuffle buffers stay small; `decode` turns a record into pixels.

    Attributes:
        name: What `load_dataset` was asked for.
        class_names: Name of each class; the label of an example is an index into it.
        split_sizes: Number of examples in each whole split that is stored.
        read: Called with a split's name, a start and a stop; returns a finite dataset of (record, label int64 scalar)
            with the examples start to stop - 1 of that split, unshuffled.
        decode: Called with one record as a tensor, in a traced function; returns the image, uint8 [H, W, 3].
        names: Called like `read`; returns what a person calls these examples, string scalars in the same order: a
            file's path, a record's place in its file. None where there is nothing better than an example's number.
        table: Called like `read`; returns all of its records [N] and labels int64 [N] at once. None where records are
            too large for memory. With it, a large split is shuffled as a whole, and labels are counted at no cost.
        within: Further splits that are contiguous parts of stored ones, and where they lie in them.
        division: A sentence that says how the splits `within` came about.
        digest: Called with the name of a whole split; returns a string that changes when its examples do, without
            reading them. None for the number of examples.
        notes: What a user should know of how the images are read, a sentence each.
        files: Called like `read`; returns the file that each example is, in the same order. None where examples are no
            files of their own.
        depth: How many bits the values of 16-bit PNGs are taken for, 8 to 16, by all of them; 8 where there are none.
    """

    unit: ClassVar[str] = "image"
    """What has a class."""
    least_classes: ClassVar[int] = 2

    name: str
    class_names: tuple[str, ...]
    split_sizes: Mapping[str, int]
    read: Callable[[str, int, int], tf.data.Dataset]
    decode: Callable[[tf.Tensor], tf.Tensor]
    names: Callable[[str, int, int], tf.data.Dataset] | None = None
    table: Callable[[str, int, int], tuple[tf.Tensor, tf.Tensor]] | None = None
    within: Mapping[str, SplitPart] = field(default_factory=dict)
    division: str = ""
    digest: Callable[[str], str] | None = None
    notes: tuple[str, ...] = ()
    files: Callable[[str, int, int], Sequence[Path]] | None = None
    depth: int = 8

    def __post_init__(self) -> None:
        check_class_names(self.class_names, least=self.least_classes)
        if not self.split_sizes or min(self.split_sizes.values()) < 1:
            raise ValueError(
                f"Expected splits with at least one example each. Received: split_sizes={dict(self.split_sizes)}."
            )

    @property
    def splits(self) -> dict[str, int]:
        """The number of examples in every split that has a name, stored or within another one."""
        return {**self.split_sizes, **{name: part.stop - part.start for name, part in self.within.items()}}

    def num_examples(self, split: str) -> int:
        """Returns the number of examples in a split.

        Args:
            split: A split string, see `examples`.
        """
        return sum(part.stop - part.start for part in self.parts(split))

    def parts(self, split: str) -> tuple[SplitPart, ...]:
        """Returns which examples of which stored splits a split string selects.

        Args:
            split: A split string, see `examples`.

        Returns:
            Parts of the splits that `read` knows, in the order in which they were written.

        Raises:
            ValueError: There is no such split, or it is empty.
        """
        parts = parse_split(split, split_sizes=self.splits)
        return tuple(part.within(self.within[part.name]) if part.name in self.within else part for part in parts)

    def class_counts(self, split: str) -> np.ndarray | None:
        """Returns how many images each class has in a split, int64 [K]; None where only reading all of them tells.

        Args:
            split: A split string, see `examples`.
        """
        labels = self.labels_of(split)
        return None if labels is None else np.bincount(labels, minlength=len(self.class_names)).astype(np.int64)

    def labels_of(self, split: str) -> np.ndarray | None:
        """Returns the labels of a split in its order, int64 [N]; None where only reading all of it tells.

        Args:
            split: A split string, see `examples`.
        """
        if self.table is None:
            return None
        return np.concatenate([np.asarray(self.table(*part)[1]) for part in self.parts(split)])

    def files_of(self, split: str) -> list[Path]:
        """Returns the files that the examples of a split are, in their order; none where they are no files.

        Args:
            split: A split string, see `examples`.
        """
        return [] if self.files is None else [file for part in self.parts(split) for file in self.files(*part)]

    def check_disjoint(self, **splits: str) -> None:
        """Refuses splits that share examples.

        Args:
            **splits: The split string of each role: `train_split`, `eval_split`, `selection_split`.

        Raises:
            ValueError: Two of them share an example, or one but the training split holds one twice.
        """
        check_disjoint(splits, parts={role: self.parts(split) for role, split in splits.items()})

    def check_labelled(self, **splits: str) -> None:
        """Refuses splits without labels, as the test splits of competitions are: accuracy on them would mean nothing.

        Args:
            **splits: The split string of each role: `train_split`, `eval_split`, `selection_split`.

        Raises:
            ValueError: There is one.
        """
        for role, split in splits.items():
            for name, start, _ in self.parts(split):
                # One example tells; tensorflow-datasets has -1 for none.
                if any(label < 0 for _, label in self.read(name, start, start + 1)):
                    raise ValueError(
                        f"Expected labels in the split of {role}. Received: {split!r} of {self.name}, part "
                        "of which has none."
                    )

    @property
    def fingerprint(self) -> Fingerprint:
        """What tells this data set from another of the same name; no image is read for it."""
        digest = self.digest or (lambda split: str(self.split_sizes[split]))
        return Fingerprint(self.name, self.class_names, {split: digest(split) for split in self.split_sizes})

    def records(self, split: str) -> tf.data.Dataset:
        """Returns the undecoded examples of a split, unshuffled.

        Args:
            split: A split string, see `examples`.

        Returns:
            A finite dataset of (record, label int64 scalar); `decode` turns the record into an image.
        """
        first, *others = (self.read(part.name, part.start, part.stop) for part in self.parts(split))
        for other in others:
            first = first.concatenate(other)
        return untuned(first)

    def examples(self, split: str) -> tf.data.Dataset:
        """Returns the examples of a split, unshuffled, decoded one by one as they are read.

        Args:
            split: A split string in the notation of tensorflow-datasets: `train`, `train[:10%]`, `train[500:]`,
                `train[-20%:]` or a sum such as `train+test[:50]`.

        Returns:
            A finite dataset of (image uint8 [H, W, 3], label int64 scalar).

        Raises:
            ValueError: There is no such split, or it is empty.
        """
        return self.records(split).map(lambda record, label: (self.decode(record), label))
