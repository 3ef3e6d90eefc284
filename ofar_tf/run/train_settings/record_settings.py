"""What is measured and kept while a run trains."""

from dataclasses import dataclass

from ofar_tf.run.settings import Settings, setting


@dataclass(frozen=True)
class RecordSettings(Settings):
    """What is measured and kept while a run trains."""

    eval_batch_size: int = setting(
        250,
        "Images per step of calibration and evaluation; deeper BatchNorm statistics depend a little on it.",
        low=1,
    )
    calibration_images: int = setting(2000, "Images that calibrate BatchNorm for each structure and resolution.", low=1)
    checkpoint_steps: int | None = setting(
        None,
        "Steps between two checkpoints within an epoch, for long epochs on machines that may be taken away; by default "
        "one is written when an epoch ends, and one when SIGTERM arrives.",
        low=1,
        free=True,
    )
    validation_every: int = setting(1, "Epochs between two rows of results.csv; 0 for never.", low=0, free=True)
    validation_images: int | None = setting(
        1000, "Evaluation images for results.csv while training; the evaluation split is used whole afterwards.", low=1
    )
    deterministic: bool = setting(False, "Use only operations that give the same bits every time; slower on GPUs.")
    progress: bool = setting(True, "Show a progress bar.", free=True)
