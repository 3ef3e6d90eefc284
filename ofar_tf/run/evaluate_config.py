"""Every setting of `ofar evaluate`."""

from dataclasses import dataclass

from ofar_tf.run.settings import Settings, setting


@dataclass(frozen=True)
class EvaluateConfig(Settings):
    """The settings of `ofar evaluate`."""

    run_dir: str = setting("", "Folder of a finished run.")
    data_dir: str | None = setting(None, "Where the data set lies now, if it has moved.")
    eval_images: int | None = setting(None, "Measure on this many images only; by default on the whole split.", low=1)
    distribution: str = setting(
        "none",
        "Devices that share the work: none (one) or mirrored (all GPUs of this machine). The results are the same.",
        choices=("none", "mirrored"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.run_dir:
            raise ValueError("Expected --run_dir, the folder of a finished run. Received: none.")
