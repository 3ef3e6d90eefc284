"""Runs many trainings and evaluations one after another, and collects their means over seeds in one table.

ofar run_matrix experiments/methods.toml

The same command again skips what is finished and continues what was killed.
"""

from functools import partial

from ofar_tf import flags
from ofar_tf.run.matrix.matrix_config import RunMatrixConfig
from ofar_tf.run.train_config import TrainConfig


def main(config: RunMatrixConfig) -> int:
    """Runs the command."""
    from ofar_tf.files.folder_lock import FolderLock
    from ofar_tf.run.matrix.matrix import Matrix
    from ofar_tf.run.matrix.matrix_file import read_matrix
    from ofar_tf.run.matrix.matrix_table import print_matrix
    from ofar_tf.run.matrix.processes import Processes, python_module
    from ofar_tf.run.matrix.runner import check_matrix, run_matrix

    with flags.one_line_errors():
        runs = read_matrix(config.file, folder=config.folder, parse=partial(flags.read, TrainConfig))
        matrix = Matrix(runs, config.folder, title=config.file.stem)
        if config.list:
            matrix.print_states()
            return 0
        processes = Processes(python_module, lock=FolderLock(config.folder))
        check_matrix(matrix, processes)
    failed = run_matrix(matrix, processes)
    if rows := matrix.collect():
        print_matrix(rows)
        print(f"The table is {config.folder}/matrix.csv, drawn in matrix.png; seeds.csv has a row for each seed.")
    if failed:
        print(f"{len(failed)} of {len(runs)} runs failed; the same command tries them again.")
    return 1 if failed else 0


if __name__ == "__main__":
    flags.run(main, RunMatrixConfig, positional="matrix")
