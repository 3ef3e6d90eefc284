"""Runs a matrix: what is finished is skipped, what was killed goes on, and the table grows with every run."""

import time
from datetime import timedelta

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ofar_tf.files.scratch_folder import scratch_folder
from ofar_tf.run.matrix.matrix import Matrix
from ofar_tf.run.matrix.matrix_run import MatrixRun, RunState
from ofar_tf.run.matrix.processes import Processes
from ofar_tf.text.output_console import OutputConsole


def check_matrix(matrix: Matrix, processes: Processes, *, console: Console | None = None) -> None:
    """Finds what could go wrong in the middle of the night, before the first run.

    Settings are compared with those of the runs that are there already, the table is written once, and the first run of
    each name that has not begun is planned (`train --plan`): that finds a missing data set, a model that does not
    build, and a budget that cannot be met.

    Args:
        matrix: The runs.
        processes: Starts the commands.
        console: Where the checks are shown; standard output by default.

    Raises:
        ValueError: If a folder holds a run with other settings, or a run could not begin.
        OSError: If the folder of the matrix cannot be written.
    """
    for run in matrix.runs:
        run.require_same_settings()
    matrix.collect()
    new = {run.name: run for run in reversed(matrix.runs) if run.state is RunState.NEW}
    for name, run in reversed(new.items()):
        with scratch_folder("matrix") as folder, _clock(f"checking {name}", console or OutputConsole()):
            failure = processes.call("train", [*run.arguments, "--plan"], log=folder / "plan.log")
        if failure:
            raise ValueError(f"Expected runs that can begin. Received: {name}, of which {failure}")


def run_matrix(matrix: Matrix, processes: Processes, *, console: Console | None = None) -> list[MatrixRun]:
    """Finishes every run of a matrix, one after another, and collects the table after each.

    Args:
        matrix: The runs.
        processes: Starts the commands.
        console: Where a line for each run is printed; standard output by default.

    Returns:
        The runs that failed: one that does so stops no other.
    """
    console = console or OutputConsole()
    left, failed = matrix.left, []
    for position, run in enumerate(left, start=1):
        place, started = f"[{position}/{len(left)}] {run.name} seed {run.seed}", time.monotonic()
        with _clock(f"{place}: {run.state.value}, see {run.log}", console):
            failure = finish(run, processes)
        elapsed = timedelta(seconds=round(time.monotonic() - started))
        ended = f"failed after {elapsed}, see {run.log}: {failure}" if failure else f"finished in {elapsed}"
        console.print(f"{place}: {ended}", markup=False, highlight=False, soft_wrap=True)
        if failure:
            failed.append(run)
        matrix.collect()
    return failed


def finish(run: MatrixRun, processes: Processes) -> str | None:
    """Does what is left of one run: training, evaluation or both.

    Args:
        run: The run.
        processes: Starts the commands.

    Returns:
        What went wrong, in one line; `None` if the run is finished.

    Raises:
        OSError: If the log cannot be written.
    """
    commands = {"train": run.arguments, "evaluate": (f"--run_dir={run.run_dir.path}",)}
    if run.state is RunState.TRAINED:
        del commands["train"]
    for command, arguments in commands.items():
        failure = processes.call(command, arguments, log=run.log)
        if failure:
            return failure
    return None if run.state is RunState.FINISHED else f"Expected a table in {run.run_dir.subnets}. Received: none."


def _clock(text: str, console: Console) -> Progress:
    """Shows on a terminal what is being done and for how long."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    clock = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    clock.add_task(text)
    return clock
