"""Every setting of `ofar export`."""

from dataclasses import dataclass
from typing import ClassVar

from ofar_tf.conversion.precision import ALGORITHMS, DEFAULT_ALGORITHM, PRECISIONS
from ofar_tf.run.settings import Settings, setting


@dataclass(frozen=True)
class ExportConfig(Settings):
    """The settings of `ofar export`."""

    FIRST: ClassVar[tuple[str, ...]] = ("run_dir", "export_dir", "precisions", "only", "license", "author")

    run_dir: str = setting("", "Folder of an evaluated run.")
    export_dir: str | None = setting(None, "Where the files go; by default RUN_DIR/export.")
    overwrite: bool = setting(False, "Replace files of another training, if there are any in the folder.")
    data_dir: str | None = setting(None, "Where the data set lies now, if it has moved.")
    precisions: tuple[str, ...] = setting(("float32", "int8"), "Kinds of .tflite files.", choices=tuple(PRECISIONS))
    only: tuple[str, ...] = setting(
        ("pareto",),
        "pareto (what no other network beats), all, or a list of STRUCTURE, @RESOLUTION or STRUCTURE@RESOLUTION.",
    )
    forms: tuple[str, ...] = setting(
        (),
        "What files return, for tasks with several forms: detections (boxes, classes, scores, count), raw (boxes and "
        "scores of all anchors) or both. By default the first.",
    )
    representative_images: int = setting(200, "Training images that set the ranges of quantized files.", low=1)
    qat_images: int = setting(2000, "Training images that qat files are fine-tuned on.", low=1)
    qat_epochs: int = setting(5, "Passes over them; 0 measures the ranges and learns nothing.", low=0)
    qat_learning_rate: float = setting(
        1e-4, "Learning rate at which fine-tuning starts (Adam); it falls to zero as a cosine.", low=1e-12
    )
    mixed_algorithm: str = setting(
        DEFAULT_ALGORITHM,
        "How mixed files round weights: over their whole range (min_max), over a range without outliers (octav), or, "
        "in dense layers, so that each weight corrects the error of those before it (gptq).",
        choices=ALGORITHMS,
    )
    eval_images: int | None = setting(None, "Measure on this many images only; by default on the whole split.", low=1)
    description: str = setting("", "What the networks recognize: a sentence that each file says about itself.")
    model_version: str = setting("1", "Your version of the files; each file holds it.")
    license: str = setting("Not stated", "The terms under which others may use the files; each file holds them.")
    author: str = setting("", "Who made the files; each file holds it.")
    workers: int | None = setting(None, "Conversions at once; by default one for each core.", low=1)
    latency_threads: int = setting(
        1, "Threads with which every file is timed on this machine, one after the other; 0 to time none.", low=0
    )
    report_images: int = setting(
        8,
        "How many images of the evaluation split report.html shows, with what the most accurate and the smallest file "
        "say of them; 0 for none, if the images are confidential.",
        low=0,
    )
    import_latency: str | None = setting(
        None, "A table of measurements on phones; benchmark_on_phone.sh in the export folder writes it."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.run_dir:
            raise ValueError("Expected --run_dir, the folder of a finished run. Received: none.")
        if not self.precisions or not self.only:
            raise ValueError(
                "Expected at least one entry in --precisions and in --only. "
                f"Received: {list(self.precisions)} and {list(self.only)}."
            )
