"""The settings of a run as files: `config.json` for programs, `run.flagfile` to repeat it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from ofar_tf.files.json_values import read_json
from ofar_tf.run.flagfile import quoted
from ofar_tf.run.settings import format_setting
from ofar_tf.run.train_config import TrainConfig


def to_json(config: TrainConfig) -> str:
    """Returns the text of `config.json`."""
    return json.dumps(dataclasses.asdict(config), indent=1) + "\n"


def read_config(path: Path) -> TrainConfig:
    """Reads `config.json`.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is not the configuration of a run.
    """
    if not path.is_file():
        raise FileNotFoundError(f"Expected a run of ofar_tf.train in {path.parent}. Received: no {path.name} there.")
    try:
        stored: dict[str, Any] = read_json(path)
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()}
        return TrainConfig(**values)
    except (TypeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Expected the configuration of a run in {path}. Received: {reason:.300}") from error


def to_flagfile(config: TrainConfig) -> str:
    """Returns a flagfile that repeats a run exactly: every setting but the folder, which is the new run's own."""
    lines = ["# Every setting of this run: python -m ofar_tf.train --flagfile=THIS_FILE --run_dir=NEW_DIR"]
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
    return [
        f"{field.name} was {getattr(resolved[0], field.name)!r}, now {getattr(resolved[1], field.name)!r}"
        for field in dataclasses.fields(first)
        if not field.metadata["free"]
        and all(getattr(one, field.name) != getattr(other, field.name) for one, other in ((first, second), resolved))
    ]
