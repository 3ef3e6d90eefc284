"""The names of the files in a run directory. Commands meet here and nowhere else."""

from dataclasses import dataclass
from pathlib import Path

from ofar_tf.config import TrainConfig, differences, read_config, to_flagfile, to_json


@dataclass(frozen=True)
class RunDir:
    """Where everything about one run lies.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The settings, as JSON."""
        return self.path / "config.json"

    @property
    def flagfile(self) -> Path:
        """The settings, as a flagfile that repeats the run."""
        return self.path / "run.flagfile"

    @property
    def environment(self) -> Path:
        """Versions, machine and command line."""
        return self.path / "environment.json"

    @property
    def labels(self) -> Path:
        """The class names, one in a line."""
        return self.path / "labels.txt"

    @property
    def results(self) -> Path:
        """A row per epoch and subnet."""
        return self.path / "results.csv"

    @property
    def curves(self) -> Path:
        """The accuracy of each subnet over the epochs, drawn."""
        return self.path / "curves.png"

    @property
    def pool(self) -> Path:
        """The structures that the search froze."""
        return self.path / "pool.json"

    @property
    def checkpoints(self) -> Path:
        """What a killed run continues from."""
        return self.path / "checkpoints"

    @property
    def supernet(self) -> Path:
        """The trained supernet; its presence says that the run is finished."""
        return self.path / "supernet.keras"

    @property
    def subnets(self) -> Path:
        """The accuracy of every structure at every resolution."""
        return self.path / "subnets.csv"

    @property
    def pareto(self) -> Path:
        """That accuracy against MACs, drawn."""
        return self.path / "pareto.png"

    @property
    def export(self) -> Path:
        """The exported family."""
        return self.path / "export"

    def claim(self, config: TrainConfig) -> None:
        """Takes the folder for a run: a new one, or one that the same command began.

        Args:
            config: The settings of the run.

        Raises:
            ValueError: If another run, or something that is no run, is in the folder.
            OSError: If the folder cannot be written.
        """
        if self.config.exists():
            changed = differences(read_config(self.config), config)
            if changed:
                raise ValueError(
                    f"Expected the settings that the run in {self.path} began with, or another --run_dir. "
                    f"Received: {'; '.join(changed)}."
                )
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise ValueError(
                f"Expected a run, an empty folder or no folder yet. Received: --run_dir={self.path}, which holds "
                "something else."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self.flagfile.write_text(to_flagfile(config))
        self.config.write_text(to_json(config))
