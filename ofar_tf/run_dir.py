"""The names of the files in a run directory. Commands meet here and nowhere else."""

from dataclasses import dataclass
from pathlib import Path

from ofar_tf import atomic_file
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
    def groups(self) -> Path:
        """The user's choices about channel groups, if there are any."""
        return self.path / "groups.json"

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
        elif self._holds_something_else():
            raise ValueError(
                f"Expected a run, an empty folder or no folder yet. Received: --run_dir={self.path}, which holds "
                "something else."
            )
        else:
            self._begin(config)

    def keep_groups(self, source: Path) -> None:
        """Copies the user's file of channel groups into the run, or checks that it is still the same.

        Args:
            source: The file.

        Raises:
            ValueError: If the run began with another one.
        """
        content = source.read_text(encoding="utf-8")
        if not self.groups.exists():
            atomic_file.write_text(self.groups, content)
        elif self.groups.read_text(encoding="utf-8") != content:
            raise ValueError(
                f"Expected the channel groups of {self.groups}, with which the run began. Received: {source}, which "
                "differs."
            )

    def _holds_something_else(self) -> bool:
        if not self.path.exists():
            return False
        # What a run leaves that was killed while it took the folder is still its own.
        return not self.path.is_dir() or any(
            entry != self.flagfile and not entry.name.startswith(".partial_") for entry in self.path.iterdir()
        )

    def _begin(self, config: TrainConfig) -> None:
        try:
            atomic_file.write_text(self.flagfile, to_flagfile(config))
            atomic_file.write_text(self.config, to_json(config))
        except OSError as error:
            raise OSError(
                f"Expected a --run_dir that can be written. Received: {self.path} ({error.strerror})."
            ) from error
