"""What the networks of a run say of some of its images, drawn by its task."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from ofar_tf.evaluation.pool_evaluation import PoolEvaluation
from ofar_tf.evaluation.subnet_table import SubnetRow
from ofar_tf.files import atomic_file
from ofar_tf.run.finished_run import FinishedRun
from ofar_tf.tasks.answers import SizedRun

_IMAGES = 4


def write_pictures(run: FinishedRun, evaluation: PoolEvaluation) -> None:
    """Writes some images of the evaluation split, and what the best and the smallest network say of them.

    Args:
        run: The run; of one whose task draws nothing nothing is read or written.
        evaluation: What `run.evaluate` returned.

    Raises:
        NoRoomError: If there is no room for a file.
    """
    best = max(evaluation.rows, key=lambda row: (row.scores.merit, -row.macs))
    smallest = min(evaluation.rows, key=lambda row: row.macs)

    def outputs(row: SubnetRow, images: Any) -> Any:
        (found,) = run.trained_pool.outputs(evaluation.of([row]), images)
        return found

    def batches() -> Iterator[Any]:  # Tracing them takes a second, for nothing where nothing is drawn.
        yield from run.experiment.images.evaluation_batches(images=_IMAGES).as_numpy_iterator()

    drawn = run.experiment.task.pictures(
        {_title(row): SizedRun(row.resolution, partial(outputs, row)) for row in (best, smallest)},
        batches(),
        labels=run.class_names,
    )
    for name, figure in drawn.items():
        with atomic_file.replacing(run.run_dir.picture(name)) as temporary:
            figure.savefig(temporary)


def _title(row: SubnetRow) -> str:
    metric = row.scores.metric
    return f"{row.structure} at {row.resolution}, {metric.column} {metric.text(row.scores.best)}"
