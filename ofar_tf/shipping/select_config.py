"""Every setting of `ofar select`."""

from dataclasses import dataclass

from ofar_tf.run.settings import Settings, setting
from ofar_tf.text.quantities import parse_quantity


@dataclass(frozen=True)
class SelectConfig(Settings):
    """The settings of `ofar select`."""

    export_dir: str = setting("", "Folder of an export, which holds manifest.json.")
    max_macs: str | None = setting(None, "Most multiply-adds of one image: 120M.")
    max_bytes: str | None = setting(None, "Largest file: 500K.")
    min_top1: float | None = setting(
        None,
        "Least top-1 accuracy, in [0, 1], on the images that choices are made on; for classifiers.",
        low=0.0,
        high=1.0,
    )
    min_score: float | None = setting(
        None,
        "Like --min_top1, for any task: the worst accepted value of the number that files are compared by (top1, ap, "
        "...); the largest accepted one if less is better.",
    )
    max_latency_ms: float | None = setting(
        None,
        "Largest median latency, in milliseconds, on --device, measured or else predicted; by default on the slowest.",
        low=0.0,
    )
    device: str | None = setting(None, "The device whose latency counts, as it is named in the manifest.")
    quantization: str | None = setting(None, "Only this kind of file: float32, int8, ...")
    form: str | None = setting(
        None, "What files return, if not the usual: raw, for detectors that leave the decoding to the program."
    )
    prefer: str = setting(
        "size",
        "Which of the files that fit: the smallest whose accuracy is within the noise (one standard error) of the most "
        "accurate one, or the most accurate one itself.",
        choices=("size", "accuracy"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.export_dir:
            raise ValueError("Expected --export_dir, the folder of an export. Received: none.")
        if self.min_top1 is not None and self.min_score is not None:
            raise ValueError("Expected one of --min_top1 and --min_score. Received: both.")
        for limit in (self.max_macs, self.max_bytes):
            if limit is not None:
                parse_quantity(limit)
