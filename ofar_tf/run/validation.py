"""How good the networks of a run are while it trains."""

from ofar_tf.evaluation.pool_accuracy import PoolAccuracy, PoolImages
from ofar_tf.evaluation.subnet_table import SubnetRow
from ofar_tf.run.experiment import Experiment
from ofar_tf.training.once_for_all import OnceForAll


class Validation:
    """Measures the networks in force at the largest resolution, on part of the evaluation split.

    Args:
        experiment: Says on which images.
        model: The trainer, whose networks are measured on copies that are kept from one time to the next.
    """

    def __init__(self, experiment: Experiment, model: OnceForAll):
        images = experiment.config.validation_images
        self._accuracy = PoolAccuracy(
            model.supernet,
            model.groups,
            PoolImages(
                calibration=lambda: experiment.images.calibration_batches(
                    images=min(images or 1000, experiment.config.calibration_images)
                ),
                evaluation=lambda: experiment.images.evaluation_batches(images=images),
            ),
            task=model.task,
            weights_of=model.weights_of,
            strategy=experiment.distribution.strategy,
        )

    def __call__(self, model: OnceForAll) -> list[SubnetRow]:
        """Returns a row for each structure, with the moving averages of the weights where they are kept."""
        resolution = model.resolutions[0]
        with model.averaged_weights():
            if model.pool is None:
                names = [budget.name for budget in model.budgets]
                measured = self._accuracy.measure_masked(model.masks, resolution=resolution)
            else:
                names = [network.name for network in model.pool]
                measured = list(self._accuracy.measure(model.masks, resolutions=[resolution]).values())
        return [
            SubnetRow(
                structure=name,
                rate=mask.rate,
                resolution=resolution,
                macs=model.costs.macs(mask, resolution),
                params=model.costs.params(mask),
                scores=scores,
            )
            for name, mask, scores in zip(names, model.masks, measured, strict=True)
        ]
