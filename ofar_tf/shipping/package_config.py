"""Every setting of `ofar package`."""

from dataclasses import dataclass

from ofar_tf.run.settings import Settings, setting


@dataclass(frozen=True)
class PackageConfig(Settings):
    """The settings of `ofar package`."""

    export_dir: str = setting("", "Folder of an export, which holds manifest.json.")
    package_dir: str = setting("", "Folder to write: new, empty, or one that this command wrote.")
    tiers: tuple[str, ...] = setting(
        (),
        "Kinds of devices, the best first, as NAME:KEY=VALUE:...: high:min_ram=6G:max_macs=300M,low:max_macs=50M. "
        "Conditions: min_ram, soc=MANUFACTURER/MODEL+..., device=BRAND/DEVICE+...; the last tier has none. "
        "Limits: max_macs, max_bytes, max_latency_ms (measured_on=DEVICE). Also precision (int8) and budget_ms: the "
        "latency above which the app steps down to a cheaper file (by default max_latency_ms, else never).",
    )
    prefer: str = setting(
        "size",
        "Which of the files that fit: the smallest whose accuracy is within the noise (one standard error) of the most "
        "accurate one, or the most accurate one itself.",
        choices=("size", "accuracy"),
    )
    steps_down: int = setting(1, "Cheaper files that each tier receives too.", low=0)
    pack_name: str = setting("ofar_models", "Name of the AI pack, the Gradle module that holds the files.")
    delivery: str = setting(
        "install-time", "When Play delivers the pack.", choices=("install-time", "fast-follow", "on-demand")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("export_dir", "package_dir", "tiers"):
            if not getattr(self, name):
                raise ValueError(f"Expected --{name}: --help shows an example. Received: none.")
