"""Every setting of `ofar_tf.doctor`."""

from dataclasses import dataclass

from ofar_tf.run.settings import Settings, setting


@dataclass(frozen=True)
class DoctorConfig(Settings):
    """The settings of `ofar_tf.doctor`."""

    json: bool = setting(False, "Print JSON, for programs.")
