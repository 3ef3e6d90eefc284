"""Every setting of `ofar measure_device`."""

import dataclasses
from dataclasses import dataclass

from ofar_tf.run.settings import Settings, format_setting, setting
from ofar_tf.text.size import LARGEST_SIDE, Size

# What makes the structures, beside the model: training has the same settings, with the same defaults.
_OF_STRUCTURES = (
    "width_multiplier",
    "small_images",
    "resolutions",
    "prune_residual_stream",
    "min_channels",
    "channel_round_to",
)


@dataclass(frozen=True)
class DeviceConfig(Settings):
    """The settings of `ofar measure_device`; those of the network are named as for training."""

    model: str = setting(
        "mobilenet_v2",
        "The network whose structures are timed: built-in, keras.applications:NAME, path.keras, "
        "package.module:function or file.py:function.",
    )
    width_multiplier: float = setting(1.0, "Factor on the channels of a built-in network.", low=0.05, high=10.0)
    small_images: bool = setting(False, "Build for images of 20 to 64 pixels: early strides are left out.")
    classes: int = setting(100, "Classes of the network; the number hardly changes the times.", low=2)
    resolutions: tuple[int | Size, ...] = setting(
        (224, 192, 160, 128), "Input sizes in pixels: sides of squares, or HEIGHTxWIDTH.", low=1, high=LARGEST_SIDE
    )
    prune_residual_stream: bool = setting(False, "Also prune sums and linear bottlenecks.")
    min_channels: int | None = setting(None, "Least channels a group keeps, as for training.", low=1)
    channel_round_to: int | None = setting(None, "Kept counts are multiples of this, as for training.", low=1)
    precision: str = setting(
        "int8",
        "Which kind of .tflite file is timed.",
        choices=("float32", "float16", "dynamic", "int8", "int8_float_io", "int16x8"),
    )
    threads: int = setting(1, "How many threads LiteRT uses.", low=1)
    structures: int = setting(40, "How many random structures are timed.", low=12, high=1000)
    rounds: int = setting(5, "How many times all files are gone through here, each time in another order.", low=1)
    seed: int = setting(0, "Seed of the structures and their weights.", low=0)
    output: str | None = setting(None, "The file to write, which must be new: device.json.")
    phone_dir: str | None = setting(
        None, "Time nothing here: write a folder with the files and a script that times them on a phone by adb."
    )
    read: str | None = setting(None, "Read phone.csv, which that script wrote, from such a folder.")
    workers: int | None = setting(None, "Conversions at once; by default one for each core.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.phone_dir and (self.read or self.output):
            raise ValueError(
                "Expected --phone_dir alone, then --read of that folder with --output. "
                f"Received: phone_dir={self.phone_dir}, read={self.read}, output={self.output}."
            )
        if not self.phone_dir and not self.output:
            raise ValueError("Expected --output, the file to write, or --phone_dir. Received: none.")
        if not self.resolutions or len(set(self.resolutions)) < len(self.resolutions):
            listed = ", ".join(map(str, self.resolutions))
            raise ValueError(f"Expected different --resolutions, at least one. Received: {listed or 'none'}.")

    @property
    def network(self) -> tuple[str, ...]:
        """The flags of training that make the network whose structures are timed."""
        changed = [
            field.name
            for field in dataclasses.fields(self)
            if field.name in _OF_STRUCTURES and getattr(self, field.name) != field.default
        ]
        return tuple(f"--{name}={format_setting(getattr(self, name))}" for name in ("model", *changed))
