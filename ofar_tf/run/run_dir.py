"""The names of the files in a run directory. Commands meet here and nowhere else."""

from dataclasses import dataclass, field
from pathlib import Path

from ofar_tf.files import atomic_file, folder_lock
from ofar_tf.run.config_file import differences, read_config, to_flagfile, to_json
from ofar_tf.run.flagfile import FLAGFILE_OF_A_RUN
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.training.trained_files import TrainedFiles


@dataclass(frozen=True)
class RunDir(TrainedFiles):
    """Where everything about one run lies. The presence of `supernet.keras` says that it is finished."""

    _locks: list[folder_lock.FolderLock] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def config(self) -> Path:
        """The settings, as JSON."""
        return self.path / "config.json"

    @property
    def flagfile(self) -> Path:
        """The settings, as a flagfile that repeats the run."""
        return self.path / FLAGFILE_OF_A_RUN

    @property
    def facts(self) -> Path:
        """What the run was trained on and with, as it was then."""
        return self.path / "facts.json"

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
    def groups(self) -> Path:
        """The user's choices about channel groups, if there are any."""
        return self.path / "groups.json"

    @property
    def checkpoints(self) -> Path:
        """What a killed run continues from."""
        return self.path / "checkpoints"

    @property
    def pareto(self) -> Path:
        """The accuracy of every structure at every resolution against MACs, drawn."""
        return self.path / "pareto.png"

    def picture(self, name: str) -> Path:
        """What networks say of some images, as its task draws it (`Shipped.pictures`)."""
        return self.path / f"{name}.png"

    @property
    def export(self) -> Path:
        """The exported family."""
        return self.path / "export"

    @property
    def checksums(self) -> Path:
        """What the files that training ended with must hash to; `sha256sum -c` reads it."""
        return self.path / "SHA256SUMS"

    def claim(self, config: TrainConfig) -> None:
        """Takes the folder for a run: a new one, or one that the same command began.

        Until the run is finished, nobody else can take it as long as this object and this process live. Of several
        processes that train one run together, only the one that writes may claim it.

        Args:
            config: The settings of the run.

        Raises:
            ValueError: If another run, or something that is no run, is in the folder, or another process trains there.
            OSError: If the folder cannot be written.
        """
        if not self.config.exists() and self._holds_something_else():
            raise ValueError(
                f"Expected a run, an empty folder or no folder yet. Received: --run_dir={self.path}, which holds "
                "something else."
            )
        if not self.supernet.exists():
            self._begin(config)
        changed = differences(read_config(self.config), config)
        if changed:
            self._locks.clear()
            raise ValueError(
                f"Expected the settings that the run in {self.path} began with, or another --run_dir. "
                f"Received: {'; '.join(changed)}."
            )

    def release(self) -> None:
        """Lets others take the folder, whoever still holds this object."""
        self._locks.clear()

    def keep_inputs(self, config: TrainConfig) -> None:
        """Copies the user's files of channel groups and of the device into the run, or checks that they are the same.

        Args:
            config: The settings of the run, which say where they are, if there are any.

        Raises:
            ValueError: If the run began with another one.
        """
        if config.groups:
            self._keep(Path(config.groups), self.groups, "channel groups")
        if config.device:
            self._keep(Path(config.device), self.device, "device")

    def _keep(self, source: Path, copy: Path, what: str) -> None:
        content = source.read_text(encoding="utf-8")
        if not copy.exists():
            atomic_file.write_text(copy, content)
        elif copy.read_text(encoding="utf-8") != content:
            raise ValueError(
                f"Expected the {what} of {copy}, with which the run began. Received: {source}, which differs."
            )

    def class_names(self) -> tuple[str, ...]:
        """Reads `labels.txt`: the class names, in the order of the logits.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no text.
        """
        if not self.labels.is_file():
            raise FileNotFoundError(f"Expected the class names of the run in {self.labels}. Received: no such file.")
        try:
            return tuple(self.labels.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
        except UnicodeDecodeError as error:
            raise ValueError(f"Expected class names in UTF-8 in {self.labels}. Received: {error.reason}.") from error

    def seal(self, supernet: Path) -> None:
        """Notes the checksums of a run that is about to be finished, so that damage never passes for what was trained.

        Args:
            supernet: The file that will be put in the place of `supernet.keras`, of that name.
        """
        others = [path for path in self._sealed if path != self.supernet and path.exists()]
        lines = [_checksum_line(path) for path in (*others, supernet)]
        atomic_file.write_text(self.checksums, "".join(f"{line}\n" for line in lines))

    def check_seal(self) -> None:
        """Compares a finished run with its checksums, if it has any; without the file, nothing is compared.

        Raises:
            ValueError: If a file has changed since training ended.
        """
        if not self.checksums.exists():
            return
        noted = self.checksums.read_text(encoding="utf-8", errors="replace")
        for path in self._sealed:
            if _checksum_line(path) not in noted.splitlines() if path.exists() else path.name in noted:
                received = "other content" if path.exists() else "no such file"
                raise ValueError(
                    f"Expected {path} as training left it, see {self.checksums.name}. Received: {received}. Restore "
                    f"it, or remove {self.supernet} and repeat the training command: it ends with the last checkpoint."
                )

    @property
    def _sealed(self) -> tuple[Path, ...]:
        return self.config, self.facts, self.groups, self.device, self.pool, self.own_weights, self.supernet

    def _holds_something_else(self) -> bool:
        if not self.path.exists():
            return False
        # What a run leaves that was killed while it took the folder is still its own.
        own = {self.flagfile.name, folder_lock.NAME}
        return not self.path.is_dir() or any(
            entry.name not in own and not atomic_file.is_unfinished(entry) for entry in self.path.iterdir()
        )

    def _begin(self, config: TrainConfig) -> None:
        try:
            if not self._locks:
                self._locks.append(folder_lock.FolderLock(self.path))
            if not self.config.exists():
                atomic_file.write_text(self.flagfile, to_flagfile(config))
                atomic_file.write_text(self.config, to_json(config))
        except atomic_file.NoRoomError:
            raise
        except OSError as error:
            raise OSError(
                f"Expected a --run_dir that can be written. Received: {self.path} ({error.strerror})."
            ) from error


def _checksum_line(path: Path) -> str:
    return f"{atomic_file.sha256_of(path)}  {path.name}"
