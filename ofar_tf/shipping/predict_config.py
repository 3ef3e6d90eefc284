"""Every setting of `ofar predict`."""

from dataclasses import dataclass

from ofar_tf.run.settings import Settings, setting


@dataclass(frozen=True)
class PredictConfig(Settings):
    """The settings of `ofar predict`."""

    file: str = setting("", "An exported .tflite or .keras file.")
    images: tuple[str, ...] = setting(
        (), "Images, and folders whose images are taken, those in their folders too. They need no flag: photos/*.jpg."
    )
    top: int = setting(3, "How many labels are printed for each image.", low=1)
    min_score: float = setting(0.3, "Detectors: less likely things are left out.", low=0.0, high=1.0)
    pictures_dir: str | None = setting(None, "Detectors: a folder for a picture of each image with its boxes.")
    labels: str | None = setting(
        None, "A text file with a class name in each line; by default those inside the file, or labels.txt near it."
    )
    json: bool = setting(False, "Print JSON, one object in a line for each image.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.file or not self.images:
            missing = "--file, an exported file" if not self.file else "images or a folder"
            raise ValueError(f"Expected {missing}. Received: none.")
