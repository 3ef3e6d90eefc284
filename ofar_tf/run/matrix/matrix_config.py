"""The settings of `ofar run_matrix`."""

from dataclasses import dataclass
from pathlib import Path

from ofar_tf.run.settings import Settings, setting


@dataclass(frozen=True)
class RunMatrixConfig(Settings):
    """The settings of `ofar run_matrix`."""

    matrix: str = setting("", "The file of runs, see experiments/methods.toml; the name of the flag may be left out.")
    matrix_dir: str | None = setting(
        None, "Where the runs and the table of all go; by default runs/ and the name of the file."
    )
    list: bool = setting(False, "Print what would run and what is finished; no run.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.matrix:
            raise ValueError("Expected a file of runs, as in ofar run_matrix FILE. Received: none.")

    @property
    def file(self) -> Path:
        """The file of runs."""
        return Path(self.matrix)

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return Path(self.matrix_dir) if self.matrix_dir else Path("runs") / self.file.stem
