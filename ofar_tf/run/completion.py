"""What a run's settings are where nobody gave them: as its images, its weights and its recipe suggest."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofar_tf.models.user_model import is_saved
from ofar_tf.run.config_file import read_config
from ofar_tf.run.methods import METHODS
from ofar_tf.run.run_dir import RunDir
from ofar_tf.run.settings import format_setting
from ofar_tf.run.train_config import LEFT_TO_METHOD, TrainConfig
from ofar_tf.tasks.detection.fitting_anchors import FittingScale
from ofar_tf.training.recipe import Recipe

_FIELDS = tuple(field.name for field in dataclasses.fields(Recipe))
_FOLLOW_IMAGES = {"epochs", "batch_size", "learning_rate"}


@dataclass(frozen=True)
class Completion:
    """A configuration in which nothing is left open that depends on the images.

    Attributes:
        config: The configuration.
        notes: What was chosen and why, a line each; none where nothing was left open.
    """

    config: TrainConfig
    notes: tuple[str, ...] = ()


def is_open(config: TrainConfig) -> bool:
    """Returns whether something is left open that a recipe says."""
    return bool(config.left_open & set(_FIELDS)) or (
        config.recipe != "none" and any(getattr(config, name) is None for name in _FIELDS)
    )


def completed(
    config: TrainConfig, *, images: Callable[[], int], anchors: Callable[[], FittingScale] | None = None
) -> Completion:
    """Fills in the settings that follow from the images, from the weights and from `--recipe`.

    Args:
        config: The settings as they were given.
        images: Counts the images to train on; called only where something depends on it.
        anchors: Finds the scale of anchors that suits what is to be found, likewise; for detection.

    Returns:
        The settings, and what was chosen.

    Raises:
        ValueError: If settings that were given do not go with the others.
    """
    found = _with_recipe(config, images=images)
    notes = (*found.notes, *_unlike_the_method(config))
    if anchors is None or "anchor_scale" not in config.left_open:
        return Completion(found.config, notes)
    fitting = anchors()
    return Completion(dataclasses.replace(found.config, anchor_scale=fitting.scale), notes + fitting.notes)


def _with_recipe(config: TrainConfig, *, images: Callable[[], int]) -> Completion:
    if not is_open(config):
        return Completion(config)
    given = {name: getattr(config, name) for name in _FIELDS if getattr(config, name) is not None}
    follows_images = config.recipe != "none" or not set(given) >= _FOLLOW_IMAGES
    count = images() if follows_images else 1
    if METHODS[config.method].importance != "gamma":
        given.setdefault("importance", METHODS[config.method].importance)
    if config.recipe == "finetune":
        recipe = Recipe.finetune(images=count, **given)
    else:
        recipe = Recipe.usual(images=count, pretrained=_starts_from_others(config), **given)
    chosen = {name: getattr(recipe, name) for name in _FIELDS if getattr(config, name) is None}
    parts = config.gradient_accumulation
    if "batch_size" in chosen:  # A batch that can be divided.
        chosen["batch_size"] = -(-chosen["batch_size"] // parts) * parts
    values = {name: value for name, value in chosen.items() if value is not None}
    return Completion(dataclasses.replace(config, **values), _notes(config, values, images=count))


def _unlike_the_method(config: TrainConfig) -> list[str]:
    """Says what was given otherwise than the method has it: a flagfile of another run's may hold it unseen."""
    left_open: dict[str, Any] = {**dict.fromkeys(LEFT_TO_METHOD), "training_resolutions": ()}
    given, own = config.resolved(), dataclasses.replace(config, **left_open).resolved()
    unlike = [name for name in LEFT_TO_METHOD if getattr(given, name) != getattr(own, name)]
    if set(given.training_resolutions) != set(own.training_resolutions):
        unlike.append("training_resolutions")
    if config.recipe != "none" and "importance" in unlike:  # The recipe's own.
        unlike.remove("importance")
    settings = " ".join(f"--{name}={format_setting(getattr(given, name))}" for name in unlike)
    return [f"Otherwise than --method={config.method} has it: {settings}"] if unlike else []


def _starts_from_others(config: TrainConfig) -> bool:
    return config.pretrained != "none" or config.initial_weights is not None or is_saved(config.model)


def _notes(config: TrainConfig, values: dict[str, Any], *, images: int) -> tuple[str, ...]:
    usual = {field.name: field.default for field in dataclasses.fields(Recipe)}
    told = {
        name: value
        for name, value in values.items()
        # What is as it always is needs no line.
        if value != usual[name] and (name != "importance" or config.recipe == "finetune")
    }
    if not told:
        return ()
    weights = "pretrained" if _starts_from_others(config) else "random"
    recipe = f", --recipe={config.recipe}" if config.recipe != "none" else ""
    settings = " ".join(f"--{name}={_short(value)}" for name, value in told.items())
    return (f"Chosen for {images:,} images, {weights} weights{recipe}: {settings}",)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def begun_with(config: TrainConfig) -> TrainConfig:
    """Returns the settings of a run with what is left open as the run began with it.

    Args:
        config: The settings of a run that may have begun.

    Returns:
        The same settings where there is no run yet.

    Raises:
        ValueError: If what lies in the folder is no configuration.
    """
    path = RunDir(Path(config.run_dir)).config
    if config.only_looks or not path.exists():
        return config
    began = read_config(path)
    names = {*_FIELDS, *config.left_open, *LEFT_TO_METHOD, "training_resolutions"}
    values = {name: getattr(began, name) for name in names if getattr(config, name) in (None, ())}
    return dataclasses.replace(config, **values)
