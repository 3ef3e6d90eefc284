"""What the networks of a run found in some of its images, drawn."""

import keras
import numpy as np

from ofar_tf.evaluation.pool_evaluation import PoolEvaluation
from ofar_tf.run.finished_run import FinishedRun
from ofar_tf.tasks.detection.pictures import plot_detections
from ofar_tf.tasks.detection.task import Detection

_IMAGES = 4


def plot_examples(run: FinishedRun, evaluation: PoolEvaluation) -> None:
    """Writes `detections.png`: some images of the evaluation split, and what the best and the smallest network found.

    Args:
        run: The run; of one that does not detect there is nothing to draw.
        evaluation: What `run.evaluate` returned.

    Raises:
        NoRoomError: If there is no room for the file.
    """
    task = run.experiment.task
    if not isinstance(task, Detection):
        return
    images, labels = next(iter(run.experiment.images.evaluation_batches(images=_IMAGES)))
    best = max(evaluation.rows, key=lambda row: (row.scores.merit, -row.macs))
    smallest = min(evaluation.rows, key=lambda row: row.macs)
    chosen = evaluation.of(list({id(row): row for row in (best, smallest)}.values()))
    found = {}
    for row, outputs in zip(chosen.rows, run.trained_pool.outputs(chosen, images), strict=True):
        name = f"{row.structure} at {row.resolution}, AP {row.scores.best:.3f}"
        found[name] = task.decoding.decode(outputs, size=row.resolution, anchors=task.anchors)
    plot_detections(
        run.run_dir.detections,
        np.asarray(images),
        keras.tree.map_structure(np.asarray, labels),
        found,
        class_names=run.class_names,
    )
