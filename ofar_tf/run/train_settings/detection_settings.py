"""What a detector is made of and learns; for `--task=detection`."""

from dataclasses import dataclass

from ofar_tf.run.settings import Settings, setting


@dataclass(frozen=True)
class DetectionSettings(Settings):
    """What a detector is made of and how it learns; for --task=detection only."""

    features: tuple[str, ...] = setting(
        (),
        "Detection: the three layers of --model whose outputs the neck reads, at strides 8, 16 and 32; by default the "
        "last of each stride, for networks of this package.",
    )
    backbone_run_dir: str | None = setting(
        None,
        "Detection: a finished classification run of the same --model, whose weights the body starts from; without "
        "budgets its structures are taken over too, and there is no search.",
    )
    neck_channels: int = setting(64, "Detection: channels of neck and heads; the paper's kind has 256.", low=8)
    head_layers: int = setting(2, "Detection: convolutions of each head before the last.", low=0, high=8)
    light_heads: bool = setting(
        True, "Detection: depthwise separable convolutions in neck and heads, as phones want them."
    )
    anchor_scale: float = setting(
        None,
        "Detection: side of the smallest anchor of each level, in strides: RetinaNet has 4, small things need less; by "
        "default the largest of 4, 3, 2, 1.5 and 1 that suits the training boxes.",
        low=0.5,
        high=64.0,
        suggested=True,
    )
    class_target: str = setting(
        "both",
        "Detection: what the class branch of all networks but the largest learns: what their teacher says (distill, "
        "the paper's), the ground truth, or half of each (both).",
        choices=("distill", "ground_truth", "both"),
    )
    box_loss: str = setting("giou", "Detection: what boxes learn by.", choices=("smooth_l1", "giou", "ciou"))
    neck_floor: float = setting(
        0.25, "Detection: least share of its channels that a layer keeps if the neck reads it.", low=0.0, high=1.0
    )
    scale_jitter: tuple[float, ...] = setting(
        (0.8, 1.25),
        "Detection: least and greatest factor on the size of training images; what does not fit is cropped.",
        low=0.1,
        high=10.0,
    )
    mosaic: float = setting(
        0.0, "Detection: share of the training images that are mosaics of four images.", low=0.0, high=1.0
    )
