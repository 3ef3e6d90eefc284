"""Every setting of `ofar doctor`."""

from dataclasses import dataclass

from ofar_tf.run.settings import Settings, setting


@dataclass(frozen=True)
class DoctorConfig(Settings):
    """The settings of `ofar doctor`."""

    json: bool = setting(False, "Print JSON, for programs.")
