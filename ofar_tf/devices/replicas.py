"""The devices that measure networks. Each runs whole batches, so that no result depends on how many there are."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import tensorflow as tf


class Replicas:
    """The devices of a strategy that this process runs, and the other processes that share the work.

    Args:
        strategy: The strategy; by default that of the present scope, normally one device.

    Attributes:
        strategy: The same. Variables that functions read are made in its scope.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None):
        self.strategy = strategy or tf.distribute.get_strategy()
        self._devices = len(self._local(self._values(lambda device: device)))

    def _local(self, values: Any) -> list[Any]:
        return list(self.strategy.experimental_local_results(values))

    def _values(self, value: Callable[[int], Any]) -> Any:
        """Gives each device of this process the value of a function of its number."""
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: value(context.replica_id_in_sync_group)
        )

    def groups(self, batches: Iterable[Any]) -> Iterator[list[Any]]:
        """Yields batches in their order, as many at once as there are devices here; the last group may be smaller."""
        remaining = iter(batches)
        while group := list(islice(remaining, self._devices)):
            yield group

    def traced(self, function: Callable[..., Any], batch: tf.TensorSpec, *others: Any) -> Callable[..., list[Any]]:
        """Turns a function of a batch into one of a group, which runs its batches at the same time.

        Args:
            function: A function of a batch and of arguments that are the same on every device.
            batch: The form of a batch; unknown dimensions may differ from call to call, and within a group.
            *others: The forms of those arguments.

        Returns:
            A function of a group of tensors and of those arguments, traced once. It returns a list of the results.
        """

        @cache
        def traced() -> Any:
            run = tf.function(lambda *arguments: self.strategy.run(function, args=arguments), autograph=False)
            return run.get_concrete_function(self._spec(batch), *others)

        def run_group(group: Sequence[Any], *arguments: Any) -> list[Any]:
            # A device without a batch repeats the last one, and what it computes is dropped.
            last = len(group) - 1
            values = self._values(lambda device: tf.convert_to_tensor(group[min(device % self._devices, last)]))
            return self._local(traced()(values, *arguments))[: len(group)]

        return run_group

    def _spec(self, batch: tf.TensorSpec) -> Any:
        """The form of a tensor on each device: what two examples of it have in common."""

        def example(size: int) -> Any:
            tensor = tf.zeros([size if length is None else length for length in batch.shape], batch.dtype)
            return tf.type_spec_from_value(self._values(lambda device: tensor))

        return example(1).most_specific_common_supertype([example(2)])

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sums an array over the processes; every one of them must call this, and gets the sum.

        Args:
            values: Numbers, of the same shape in each process.
        """
        if self.strategy.num_replicas_in_sync == self._devices:
            return values
        # One device of each process brings its numbers.
        others = np.zeros_like(values)
        spread = self._values(lambda device: tf.constant(others if device % self._devices else values))
        return np.asarray(self.strategy.reduce("SUM", spread, axis=None))
