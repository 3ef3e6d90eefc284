"""One run of a matrix: a name, a seed, and how far it has come."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ofar_tf.run.completion import begun_with
from ofar_tf.run.run_dir import RunDir
from ofar_tf.run.tasks.run_task import run_task_of
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.tasks.task import Metric


class RunState(Enum):
    """How far a run has come; the value says what is left to do."""

    NEW = "to train"
    BEGUN = "to continue"
    TRAINED = "to evaluate"
    FINISHED = "finished"


@dataclass(frozen=True)
class MatrixRun:
    """One training run and its evaluation.

    Attributes:
        name: What it is called; the runs of one name differ in their seed only.
        seed: Its seed.
        arguments: The flags of `ofar train` that make it.
        config: What these flags say.
    """

    name: str
    seed: int
    arguments: tuple[str, ...]
    config: TrainConfig

    @property
    def run_dir(self) -> RunDir:
        """Its folder."""
        return RunDir(Path(self.config.run_dir))

    @property
    def metric(self) -> Metric:
        """What its networks are compared by."""
        return run_task_of(self.config).metric

    @property
    def log(self) -> Path:
        """What its processes print; beside its folder, which training takes only when all its checks have passed."""
        return self.run_dir.path.with_name(f"{self.run_dir.path.name}.log")

    @property
    def state(self) -> RunState:
        """How far it has come, by the files in its folder."""
        if not self.run_dir.config.exists():
            return RunState.NEW
        if not self.run_dir.supernet.exists():
            return RunState.BEGUN
        return RunState.FINISHED if self.run_dir.subnets.exists() else RunState.TRAINED

    def require_same_settings(self) -> None:
        """Checks, without a trace, that what lies in the folder is this run.

        Raises:
            ValueError: If the run in the folder began with other settings.
        """
        if self.state is not RunState.NEW:
            self.run_dir.claim(begun_with(self.config))
