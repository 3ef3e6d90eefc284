"""What every data set is to the rest of the program: named splits of labelled RGB images in a fixed order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow as tf

from ofar_tf.data.fingerprint import Fingerprint
from ofar_tf.data.splits import parse_split


@dataclass(frozen=True)
class ImageDataset:
    """Labelled RGB images in named splits, always read in the same order.

    An example is kept as a *record*, the cheapest form the source has (a file name, the bytes of a JPEG, a small
    array), so that caches and shuffle buffers stay small; `decode` turns a record into pixels.

    Attributes:
        name: What `load_dataset` was asked for.
        class_names: Name of each class; the label of an example is an index into it.
        split_sizes: Number of examples in each whole split.
        read: Called with a split's name, a start and a stop; returns a finite dataset of (record, label int64 scalar)
            with the examples start to stop - 1 of that split, unshuffled.
        decode: Called with one record as a tensor, in a traced function; returns the image, uint8 [H, W, 3].
        names: Called like `read`; returns what a person calls these examples, string scalars in the same order: a
            file's path, a record's place in its file. None where there is nothing better than an example's number.
    """

    name: str
    class_names: tuple[str, ...]
    split_sizes: Mapping[str, int]
    read: Callable[[str, int, int], tf.data.Dataset]
    decode: Callable[[tf.Tensor], tf.Tensor]
    names: Callable[[str, int, int], tf.data.Dataset] | None = None

    def __post_init__(self) -> None:
        if len(self.class_names) < 2 or len(set(self.class_names)) < len(self.class_names):
            raise ValueError(f"Expected two or more distinct class names. Received: class_names={self.class_names}.")
        if not self.split_sizes or min(self.split_sizes.values()) < 1:
            raise ValueError(
                f"Expected splits with at least one example each. Received: split_sizes={dict(self.split_sizes)}."
            )

    def num_examples(self, split: str) -> int:
        """Returns the number of examples in a split.

        Args:
            split: A split string, see `examples`.
        """
        return sum(part.stop - part.start for part in parse_split(split, split_sizes=self.split_sizes))

    @property
    def fingerprint(self) -> Fingerprint:
        """What tells this data set from another of the same name; no image is read for it."""
        return Fingerprint(self.name, self.class_names, {name: str(size) for name, size in self.split_sizes.items()})

    def records(self, split: str) -> tf.data.Dataset:
        """Returns the undecoded examples of a split, unshuffled.

        Args:
            split: A split string, see `examples`.

        Returns:
            A finite dataset of (record, label int64 scalar); `decode` turns the record into an image.
        """
        first, *others = (
            self.read(part.name, part.start, part.stop) for part in parse_split(split, split_sizes=self.split_sizes)
        )
        for other in others:
            first = first.concatenate(other)
        return first

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


def decode_image_file(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes the bytes of a JPEG or PNG file.

    Args:
        encoded: String scalar, the whole file.

    Returns:
        The image, uint8 [H, W, 3]: grey is repeated, an alpha channel is dropped.
    """
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image
