"""In which order a training run sees its examples: for each epoch a shuffle of its own, the same on every run."""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from ofar_tf.data.image_dataset import ImageDataset

Decode = Callable[[tf.Tensor], tf.Tensor]

# Nothing in a data set's functions branches on a tensor in Python, and autograph would read the source of each of them
# to find that out: half a second of a start.
as_written = tf.autograph.experimental.do_not_convert

# Up to here a split's records are cached and shuffled as a whole (CIFAR's are 120 MB). Beyond it, a buffer of 16,384
# JPEGs of ImageNet's size is under 2 GB.
_SMALL_SPLIT = 65_536
_LARGE_SPLIT_BUFFER = 16_384


def shuffled_shares(
    dataset: ImageDataset, split: str, *, batch_size: int, part: tuple[int, int], seed: int, start_epoch: int
) -> tuple[tf.data.Dataset, Decode]:
    """Returns the endless stream of undecoded, shuffled batches, or of one device's parts of them.

    Args:
        dataset: The data set.
        split: A split string.
        batch_size: Examples in a batch, B.
        part: (i, n): the i-th, from 0, of n contiguous parts of every batch.
        seed: Any 64-bit int.
        start_epoch: Number of the first epoch.

    Returns:
        Elements (records [B / n], labels int64 [B / n], seeds of the random views int64 [B / n, 2]), and what decodes
        one record.
    """
    size = dataset.num_examples(split)
    order = _Order(size=size, batch_size=batch_size, part=part, seed=seed)
    epochs = tf.data.Dataset.range(start_epoch, tf.int64.max)
    small = size <= _SMALL_SPLIT
    if dataset.table is not None and not small:
        table = _whole_table(dataset, split)
        return epochs.flat_map(as_written(lambda epoch: order.of_table(table, epoch))), dataset.decode
    records, decode = _batchable(dataset.records(split), dataset.decode)
    if small:
        records = records.cache()
    buffer = size if small else _LARGE_SPLIT_BUFFER
    return epochs.flat_map(as_written(lambda epoch: order.of_records(records, epoch, buffer=buffer))), decode


@dataclass(frozen=True, kw_only=True)
class _Order:
    """The order of an epoch's examples. The methods run inside of traced functions.

    All that needs a function of ours comes after the batching: called for each record, the least of them takes longer
    than all that `shuffle` and `batch` do.
    """

    size: int
    batch_size: int
    part: tuple[int, int]
    seed: int

    def of_records(self, records: tf.data.Dataset, epoch: tf.Tensor, *, buffer: int) -> tf.data.Dataset:
        """Shuffles records that are read one after the other."""
        # `shuffle` mixes the global seed into its own. This pins it, for the function that is being traced and no
        # other; any value does but 0, with which `shuffle` takes no tensor.
        tf.random.set_seed(1)
        order = tf.random.stateless_uniform([], [self.seed, epoch], minval=None, maxval=None, dtype=tf.int64)
        shuffled = records.shuffle(buffer, seed=order, reshuffle_each_iteration=False)

        @as_written
        def share(batch: tf.Tensor, example: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, ...]:
            start, stop = self._bounds
            record, label = example
            return record[start:stop], label[start:stop], self._draws(epoch, batch)

        # Not `take`: a cache counts only once it has been read to its end, as it is to find that the last batch is
        # short.
        return shuffled.batch(self.batch_size, drop_remainder=True).enumerate().map(share)

    def of_table(self, table: tuple[tf.Tensor, tf.Tensor], epoch: tf.Tensor) -> tf.data.Dataset:
        """Permutes records that are in memory, all of them at once."""
        records, labels = table
        steps = self.size // self.batch_size
        order = tf.random.experimental.stateless_shuffle(tf.range(self.size), [self.seed, epoch])
        batches = tf.reshape(order[: steps * self.batch_size], [steps, self.batch_size])

        @as_written
        def share(batch: tf.Tensor, places: tf.Tensor) -> tuple[tf.Tensor, ...]:
            start, stop = self._bounds
            own = places[start:stop]
            return tf.gather(records, own), tf.gather(labels, own), self._draws(epoch, batch)

        return tf.data.Dataset.from_tensor_slices(batches).enumerate().map(share)

    @property
    def _bounds(self) -> tuple[int, int]:
        number, parts = self.part
        return number * self.batch_size // parts, (number + 1) * self.batch_size // parts

    def _draws(self, epoch: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
        start, stop = self._bounds
        numbers = epoch * self.size + batch * self.batch_size + tf.range(start, stop, dtype=tf.int64)
        return tf.stack([tf.fill([stop - start], tf.constant(self.seed, tf.int64)), numbers], axis=1)


def _whole_table(dataset: ImageDataset, split: str) -> tuple[tf.Tensor, tf.Tensor]:
    assert dataset.table is not None
    tables = [dataset.table(*part) for part in dataset.parts(split)]
    if len(tables) == 1:
        return tables[0]
    records, labels = zip(*tables, strict=True)
    return tf.concat(records, 0), tf.concat(labels, 0)


def _batchable(records: tf.data.Dataset, decode: Decode) -> tuple[tf.data.Dataset, Decode]:
    """Returns records that can be batched before they are decoded, and what decodes them.

    These are the records themselves where all have one shape, as file names and encoded images do; others are packed
    into strings.
    """
    record, _ = records.element_spec
    if record.shape.is_fully_defined():
        return records, decode
    packed = records.map(as_written(lambda record, label: (tf.io.serialize_tensor(record), label)))
    return packed, lambda each: decode(tf.ensure_shape(tf.io.parse_tensor(each, record.dtype), record.shape))
