"""What a run would do: its channel groups and its costs, before anything is trained."""

import shlex
from pathlib import Path

from ofar_tf.pruning.explanation import print_explanation
from ofar_tf.pruning.group_choices import write_group_choices
from ofar_tf.run.experiment import Experiment
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.search.plan import plan_pool, print_plan


def look_ahead(config: TrainConfig) -> None:
    """Prints or writes what `--explain`, `--plan` and `--write_groups` ask for.

    Args:
        config: The settings of the run that might be begun.

    Raises:
        ValueError: If a setting, the data set or the model does not fit, or a budget cannot be met.
        OSError: If a file is missing or cannot be written.
    """
    experiment = Experiment(config)
    supernet = experiment.build_supernet()
    if config.explain:
        print_explanation(experiment.find_groups(supernet), resolution=experiment.resolution)
    if config.plan:
        model = experiment.build_trainer(supernet)
        planned = plan_pool(model.groups, model.budgets, resolutions=model.resolutions, rules=model.spec.rules)
        print_plan(planned, resolutions=model.resolutions)
    if config.write_groups:
        write_group_choices(Path(config.write_groups), experiment.find_groups(supernet))
        print(f"Edit {config.write_groups}, then train with --groups={shlex.quote(config.write_groups)}")
