"""What a run would do: its channel groups and its costs, before anything is trained."""

import shlex
from pathlib import Path

import keras
import numpy as np

from ofar_tf.pruning.budgets import Budget
from ofar_tf.pruning.costs import Costs
from ofar_tf.pruning.explanation import explain
from ofar_tf.pruning.group_choices import write_group_choices
from ofar_tf.pruning.importance import channel_importance
from ofar_tf.run.experiment import Experiment
from ofar_tf.run.suggested_budgets import suggest_macs
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.search.plan import plan_pool, print_plan
from ofar_tf.text.quantities import format_quantity
from ofar_tf.text.tables import table_console
from ofar_tf.training.once_for_all import OnceForAll


def look_ahead(config: TrainConfig) -> None:
    """Prints or writes what `--explain`, `--plan` and `--write_groups` ask for.

    Args:
        config: The settings of the run that might be begun.

    Raises:
        ValueError: If a setting, the data set or the model does not fit, or a budget cannot be met.
        OSError: If a file is missing or cannot be written.
    """
    experiment = Experiment(config)
    experiment.images.check_data_dir()
    supernet = experiment.build_supernet()
    if config.explain:
        groups = experiment.find_groups(supernet)
        explain(groups, resolution=experiment.images.resolution).print(table_console())
    if config.plan:
        _plan(experiment, supernet)
    if config.write_groups:
        write_group_choices(Path(config.write_groups), experiment.find_groups(supernet))
        print(f"Edit {config.write_groups}, then train with --groups={shlex.quote(config.write_groups)}")


def _plan(experiment: Experiment, supernet: keras.Model) -> None:
    """Prints the pool of the budgets that were given; without any, the whole network and budgets that would do."""
    if experiment.config.has_budgets:
        model = experiment.build_trainer(supernet)
        scores = _scores(model)
        planned = plan_pool(
            model.groups,
            model.budgets,
            resolutions=model.resolutions,
            rules=model.spec.rules,
            scores=scores,
            costs=model.costs,
        )
        ranked = bool(np.ptp(scores))
        print_plan(planned, resolutions=model.resolutions, ranked=ranked, predictor=model.spec.predictor)
        return
    groups = experiment.find_groups(supernet)
    rules, costs = experiment.rules(groups), Costs(groups, experiment.predictor)
    resolutions = sorted(experiment.config.resolutions, reverse=True)
    planned = plan_pool(groups, [Budget(rate=0.0)], resolutions=resolutions, rules=rules, costs=costs)
    print_plan(planned, resolutions=resolutions, predictor=experiment.predictor)
    macs = ",".join(map(format_quantity, suggest_macs(groups, resolution=resolutions[0], rules=rules)))
    print(f"This is the whole network. Budgets make a family of it, for instance --macs_budgets={macs}")


def _scores(model: OnceForAll) -> np.ndarray:
    """How important each channel is by the weights that training starts from."""
    return channel_importance(
        model.groups,
        [np.asarray(weight) for weight in model.supernet.weights],
        criterion=model.spec.importance,
        resolution=model.resolutions[0],
        seed=model.seed,
    )
