"""A run that learns to find things."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from ofar_tf import models
from ofar_tf.models.detector import DIVISOR, OUTSIDE, detector
from ofar_tf.pruning.channel_groups import ChannelGroups
from ofar_tf.pruning.channel_mask import ChannelMask
from ofar_tf.run.tasks.body_run import BodyRun
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.tasks.detection.anchors import Anchors
from ofar_tf.tasks.detection.average_precision import METRIC
from ofar_tf.tasks.detection.task import Detection
from ofar_tf.tasks.task import Metric
from ofar_tf.text.size import Size


@dataclass(frozen=True)
class DetectionRun:
    """See `RunTask`.

    Attributes:
        config: The settings of the run.
    """

    config: TrainConfig

    @property
    def metric(self) -> Metric:
        """Average precision."""
        return METRIC

    @property
    def outside(self) -> tuple[str, ...]:
        """Neck and heads: their channels serve all structures alike, and multiply-adds are those of the body."""
        return OUTSIDE

    def network(self, classes: int, *, say: Callable[[str], object]) -> keras.Model:
        """Builds a detector on the body of `--model`."""
        config = self.config
        self._check_sizes()
        body = models.load(
            config.model,
            # Its last layers are left out; a network of the user's may have any number of classes.
            classes=2,
            width_multiplier=config.width_multiplier,
            small_images=config.small_images,
            pretrained=BodyRun(config).weights if config.backbone_run_dir else config.pretrained,
            download=config.download,
            new_head=models.is_users(config.model),
            say=say,
        )
        return detector(
            body,
            classes=classes,
            features=config.features,
            channels=config.neck_channels,
            head_layers=config.head_layers,
            light=config.light_heads,
        )

    def _check_sizes(self) -> None:
        for name in ("resolutions", "search_resolutions", "training_resolutions"):
            for size in map(Size.of, getattr(self.config, name)):
                if size.height % DIVISOR or size.width % DIVISOR:
                    raise ValueError(
                        f"Expected --{name} that {DIVISOR} divides with --task=detection. Received: {size}."
                    )

    def task(self, images: Any) -> Detection:
        """Returns the task of the data set's classes."""
        config = self.config
        return Detection(
            classes=len(images.dataset.class_names),
            anchors=Anchors(config.anchor_scale),
            class_target=config.class_target,
            box_loss=config.box_loss,
        )

    def floors(self, groups: ChannelGroups) -> Mapping[str, int]:
        """A share of what the neck reads: a global ranking once left it 2 of 48 channels."""
        return {group.name: max(1, math.ceil(self.config.neck_floor * group.size)) for group in groups.read_outside}

    def found_masks(self, groups: ChannelGroups, *, size: Size) -> Sequence[ChannelMask]:
        """Those of `--backbone_run_dir`, where there are no budgets."""
        return BodyRun(self.config).masks(groups, size=size) if self.config.takes_structures else ()

    def check_outputs(self, network: keras.Model, classes: int, *, path: Any) -> None:
        """Refuses a network without logits of each class and deltas."""
        expected = {"classes": (None, None, classes), "boxes": (None, None, 4)}
        # Not `output_shape`, which forgets the names.
        received = keras.tree.map_structure(lambda output: tuple(output.shape), network.output)
        if received != expected:
            raise ValueError(
                f"Expected a detector of the run's {classes} classes in {path}. "
                f"Received: outputs of the shapes {received}."
            )
