"""What the run of a task is made of, where tasks differ: its network, what it learns, and what is pruned."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import keras

from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.run.tasks.classification import ClassificationRun
from ofar_tf.run.tasks.detection import DetectionRun
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.tasks.task import Metric, Task
from ofar_tf.text.size import Size


class RunTask(Protocol):
    """What an `Experiment` asks of the task that its configuration names."""

    @property
    def metric(self) -> Metric:
        """What its networks are compared by."""

    @property
    def outside(self) -> tuple[str, ...]:
        """Patterns of the names of layers that are neither pruned nor counted, see `find_channel_groups`."""

    def network(self, classes: int, *, say: Callable[[str], object]) -> keras.Model:
        """Builds the supernet.

        Args:
            classes: Number of classes of the data set.
            say: Gets a sentence on what its weights start from.

        Raises:
            ValueError: If a setting does not fit it.
            FileNotFoundError: If a file is missing.
        """

    def task(self, images: Any) -> Task:
        """Returns what it learns.

        Args:
            images: The images of the run, see `RunImages`.
        """

    def floors(self, groups: ChannelGroups) -> Mapping[str, int]:
        """Returns the least number of channels that some groups keep, by their names."""

    def found_masks(self, groups: ChannelGroups, *, size: Size) -> Sequence[ChannelMask]:
        """Returns the structures of the pool, the largest first, where they are not searched but known.

        Args:
            groups: Those of the supernet.
            size: The largest resolution.

        Raises:
            ValueError: If they are not those of such a network.
        """

    def check_outputs(self, network: keras.Model, classes: int, *, path: Any) -> None:
        """Refuses a network that gives something else than this task's.

        Args:
            network: What was read.
            classes: Number of classes of the run.
            path: Where it was read, for the message.

        Raises:
            ValueError: If it does.
        """


def run_task_of(config: TrainConfig) -> RunTask:
    """Returns what a run of the task that its settings name is made of.

    Args:
        config: The settings of the run.
    """
    return (DetectionRun if config.detects else ClassificationRun)(config)
