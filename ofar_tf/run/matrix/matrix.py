"""The runs of a matrix together: their folder, and the table of what they have measured so far."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ofar_tf.evaluation.subnet_table import read_subnets
from ofar_tf.run.matrix.matrix_figure import plot_matrix
from ofar_tf.run.matrix.matrix_run import MatrixRun, RunState
from ofar_tf.run.matrix.matrix_table import MatrixRow, SeedRow, mean_over_seeds, write_matrix, write_seeds
from ofar_tf.text.tables import table_console


@dataclass(frozen=True)
class Matrix:
    """The runs of a file, and where the table of all goes.

    Attributes:
        runs: The runs.
        folder: Where the table goes.
        title: What the matrix is called.
    """

    runs: tuple[MatrixRun, ...]
    folder: Path
    title: str = ""

    @property
    def left(self) -> list[MatrixRun]:
        """The runs that are not finished."""
        return [run for run in self.runs if run.state is not RunState.FINISHED]

    def collect(self) -> list[MatrixRow]:
        """Writes `seeds.csv`, `matrix.csv` and `matrix.png` from the runs that are finished.

        Returns:
            The rows of `matrix.csv`.

        Raises:
            ValueError: If the table of a run is damaged.
            OSError: If the folder cannot be written.
        """
        found = [
            SeedRow(run.name, run.seed, subnet)
            for run in self.runs
            if run.state is RunState.FINISHED
            for subnet in read_subnets(run.run_dir.subnets, run.metric)
        ]
        rows = mean_over_seeds(found)
        write_seeds(self.folder / "seeds.csv", found)
        write_matrix(self.folder / "matrix.csv", rows)
        if rows:
            plot_matrix(self.folder / "matrix.png", rows, title=self.title)
        return rows

    def print_states(self, *, console: Console | None = None) -> None:
        """Prints how far each run has come."""
        table = Table(title=f"{len(self.left)} of {len(self.runs)} runs are left", title_style="dim")
        for name in ("name", "seed", "state", "run_dir"):
            table.add_column(name, justify="right" if name == "seed" else "left")
        for run in self.runs:
            table.add_row(run.name, str(run.seed), run.state.value, str(run.run_dir.path))
        (console or table_console(table)).print(table)
