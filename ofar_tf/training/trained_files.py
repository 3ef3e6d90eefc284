"""The files of trained networks, in whichever folder: what runs and saved families have in common."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainedFiles:
    """Where trained networks lie.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def supernet(self) -> Path:
        """The trained network that holds all others."""
        return self.path / "supernet.keras"

    @property
    def pool(self) -> Path:
        """The structures that the search froze."""
        return self.path / "pool.json"

    @property
    def own_weights(self) -> Path:
        """The weights that structures do not share, if there are any."""
        return self.path / "own_weights.npz"

    @property
    def device(self) -> Path:
        """What is known of the device that latencies are predicted for, if there is one."""
        return self.path / "device.json"

    @property
    def subnets(self) -> Path:
        """The accuracy of every structure at every resolution, once they were measured."""
        return self.path / "subnets.csv"

    @property
    def evaluation(self) -> Path:
        """What else was measured: BatchNorm statistics, and which table and training they belong to."""
        return self.path / "evaluation.npz"
