"""The settings of a run as files: `config.json` for programs, `run.flagfile` to repeat it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from ofar_tf.files.json_values import read_json
from ofar_tf.run.flagfile import quoted
from ofar_tf.run.settings import format_setting, kind_of
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.text.size import Size

BEFORE = {"optimizer": "sgd", "body_learning_rate": 1.0, "head_epochs": 0, "warmup_epochs": 0.0}
"""What runs of 0.1.0 did and could not write down; nothing else was possible then."""


def to_json(config: TrainConfig) -> str:
    """Returns the text of `config.json`."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return json.dumps(values, indent=1, default=format_setting) + "\n"


def read_config(path: Path) -> TrainConfig:
    """Reads `config.json`.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is not the configuration of a run.
    """
    if not path.is_file():
        raise FileNotFoundError(f"Expected a run of ofar train in {path.parent}. Received: no {path.name} there.")
    kinds = {field.name: kind_of(field) for field in dataclasses.fields(TrainConfig)}
    try:
        stored: dict[str, Any] = read_json(path)
        # Runs of 0.1.0 could not write these down: students learned no labels, and learned in the search too.
        stored.setdefault("student_labels", 0.0)
        stored.setdefault("search_networks", "sandwich")
        return TrainConfig(**{name: _value(kinds.get(name), value) for name, value in stored.items()})
    except (TypeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Expected the configuration of a run in {path}. Received: {reason:.300}") from error


def _value(kind: Any, value: Any) -> Any:
    if not isinstance(value, list):
        return value
    # JSON has numbers for squares, and texts for other sizes.
    holds_sizes = kind == tuple[int | Size, ...]
    return tuple(Size.parse(each) if holds_sizes and isinstance(each, str) else each for each in value)


def to_flagfile(config: TrainConfig) -> str:
    """Returns a flagfile that repeats a run exactly: every setting but the folder, which is the new run's own."""
    lines = ["# Every setting of this run: ofar train --flagfile=THIS_FILE --run_dir=NEW_DIR"]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, bool):
            lines.append(f"--{field.name}" if value else f"--no{field.name}")
        elif field.name != "run_dir":
            lines.append(f"--{field.name}={quoted(format_setting(value) or '')}")
    return "\n".join(lines) + "\n"


def differences(first: TrainConfig, second: TrainConfig) -> list[str]:
    """Lists the settings in which two runs differ, as far as they change a result."""
    # A setting that is given as the method has it anyway is no difference.
    resolved = first.resolved(), second.resolved()
    unwritten = {name for name in first.left_open & BEFORE.keys() if getattr(second, name) == BEFORE[name]}
    return [
        f"{field.name} was {getattr(resolved[0], field.name)!r}, now {getattr(resolved[1], field.name)!r}"
        for field in dataclasses.fields(first)
        if not field.metadata["free"]
        and field.name not in unwritten
        and all(getattr(one, field.name) != getattr(other, field.name) for one, other in ((first, second), resolved))
    ]
