"""Which network a run starts from."""

from dataclasses import dataclass

from ofar_tf.run.settings import Settings, setting


@dataclass(frozen=True)
class ModelSettings(Settings):
    """Which network a run starts from."""

    model: str = setting(
        "mobilenet_v2",
        "A built-in network (mobilenet_v2, efficientnet_lite0, resnet20, resnet50, wide_resnet_28_10, ...), one of "
        "Keras' (keras.applications:MobileNetV2), a saved Keras model (path.keras or path.h5), or "
        "package.module:function or file.py:function, which builds one.",
    )
    pretrained: str = setting(
        "none",
        "What the weights start from: none, imagenet (for keras.applications, with --download; for efficientnet_lite0 "
        "to 2, from a package) or a .keras or .weights.h5 file, as far as it fits.",
    )
    new_head: bool = setting(False, "Replace the last layer of a saved model by one for the classes of the data set.")
    dropout: float | None = setting(
        None,
        "Share of the head's inputs that training hides; by default as the network's authors have it.",
        low=0.0,
        high=0.99,
    )
    width_multiplier: float = setting(1.0, "Factor on the channels of a built-in network.", low=0.05, high=10.0)
    small_images: bool = setting(False, "Build for images of 20 to 64 pixels: early strides are left out.")
    initial_weights: str | None = setting(None, "A .keras or .weights.h5 file whose weights the supernet starts from.")

    teacher: str | None = setting(
        None,
        "A fixed, larger network, PATH.keras, whose probabilities join what the largest structure learns.",
        free=True,  # Its content is compared instead.
    )
    teacher_share: float = setting(
        0.5, "Share of --teacher in what the largest structure learns; the rest is the labels.", low=0.0, high=1.0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.initial_weights and self.pretrained != "none":
            raise ValueError(
                "Expected one of --pretrained and --initial_weights. "
                f"Received: pretrained={self.pretrained}, initial_weights={self.initial_weights}."
            )
