"""A run that learns to tell classes apart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from ofar_tf import data, models
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.tasks.classification.accuracy import METRIC
from ofar_tf.tasks.classification.task import Classification
from ofar_tf.tasks.task import Metric
from ofar_tf.text.size import Size


@dataclass(frozen=True)
class ClassificationRun:
    """See `RunTask`.

    Attributes:
        config: The settings of the run.
    """

    config: TrainConfig

    @property
    def metric(self) -> Metric:
        """Top-1 accuracy."""
        return METRIC

    @property
    def outside(self) -> tuple[str, ...]:
        """None: all of a classifier is pruned."""
        return ()

    def network(self, classes: int, *, say: Callable[[str], object]) -> keras.Model:
        """Builds, or reads, the network of `--model`."""
        config = self.config
        return models.load(
            config.model,
            classes=classes,
            width_multiplier=config.width_multiplier,
            small_images=config.small_images,
            pretrained=config.pretrained,
            download=config.download,
            new_head=config.new_head,
            dropout=config.dropout,
            say=say,
        )

    def task(self, images: Any) -> Classification:
        """Returns the task of the data set's classes."""
        config = self.config
        return Classification(
            classes=len(images.dataset.class_names),
            divergence=config.distillation_divergence,
            label_smoothing=config.label_smoothing,
            student_labels=config.student_labels or 0.0,
            class_weights=self._class_weights(images),
        )

    def _class_weights(self, images: Any) -> tuple[float, ...] | None:
        if self.config.class_weight == "none":
            return None
        counts = data.count_labels(images.dataset, self.config.train_split).tolist()
        return tuple(map(float, data.class_weights(self.config.class_weight, counts=counts)))

    def floors(self, groups: ChannelGroups) -> Mapping[str, int]:
        """None of its own."""
        return {}

    def found_masks(self, groups: ChannelGroups, *, size: Size) -> Sequence[ChannelMask]:
        """None: they are searched."""
        return ()

    def check_outputs(self, network: keras.Model, classes: int, *, path: Any) -> None:
        """Refuses a network without one logit for each class."""
        if network.output_shape != (None, classes):
            raise ValueError(
                f"Expected a network with {classes} outputs, one for each class of the run, in {path}. "
                f"Received: the output shape {network.output_shape}."
            )
