"""`manifest.json`: what an export folder holds, for programs to read."""

import datetime
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self

from ofar_tf.family.manifest_values import readers_of, to_json
from ofar_tf.family.model_entry import Latency, ModelEntry
from ofar_tf.files import atomic_file
from ofar_tf.files.json_values import from_json, read_json
from ofar_tf.tasks.classification.accuracy import METRIC, NAME
from ofar_tf.tasks.scores import Metric

__all__ = [
    "SCHEMA_VERSION",
    "Latency",
    "Manifest",
    "ManifestHeader",
    "ModelEntry",
    "read_manifest",
    "write_manifest",
]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ManifestHeader:
    """How the files were made.

    Attributes:
        schema_version: Version of this format.
        versions: Versions of the programs that matter, by name.
        git: The commit of the code; None where it is not known.
        dataset: The data that the networks were trained and measured on: its name, splits and whatever else identifies
            it, as JSON values.
        seed: The seed of the training run; None where there was none.
        created: When, as an ISO 8601 time.
        task: What the networks learned; a manifest without it is of classifiers.
        metric: What they are compared by; that of classification where it is missing.
    """

    schema_version: int = field(default=SCHEMA_VERSION, kw_only=True)
    task: str = field(default=NAME, kw_only=True)
    metric: Metric = field(default=METRIC, kw_only=True)
    versions: Mapping[str, str]
    git: str | None
    dataset: Mapping[str, Any]
    seed: int | None
    created: str

    @classmethod
    def now(cls, **known: Any) -> Self:
        """Makes the head of a manifest that is written now, of all the other attributes."""
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return cls(**known, created=created)

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(
                f"Expected schema_version={SCHEMA_VERSION}. Received: schema_version={self.schema_version}."
            )


@dataclass(frozen=True)
class Manifest(ManifestHeader):
    """The files of an export folder and how they were made.

    Attributes:
        models: The files, those with the most MACs first.
    """

    models: tuple[ModelEntry, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        # Names alone, in small letters: an app keeps files in one folder, and some systems ignore the case.
        names = [PurePosixPath(model.path).name.lower() for model in self.models]
        twins = [model.path for model, name in zip(self.models, names, strict=True) if names.count(name) > 1]
        if twins:
            raise ValueError(f"Expected each file once. Received: {sorted(set(twins))!r:.200}.")
        if any(entry.metrics and entry.metrics.metric != self.metric for entry in self.models):
            raise ValueError(f"Expected metrics of {self.task}, by {self.metric.title}. Received: others.")
        if any(first.macs < second.macs for first, second in itertools.pairwise(self.models)):
            macs = [model.macs for model in self.models]
            raise ValueError(f"Expected the models with the most MACs first. Received: {macs!r:.200}.")


def write_manifest(path: str | Path, manifest: Manifest) -> None:
    """Writes a manifest atomically.

    Args:
        path: Where to, normally `manifest.json` in the export folder.
        manifest: What to write.
    """
    data = to_json(manifest)
    if manifest.task == NAME:
        # What version 0.1.0 did not know is left out where there is nothing to say, so that it reads the file.
        del data["task"], data["metric"]
    atomic_file.write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def read_manifest(path: str | Path) -> Manifest:
    """Reads a manifest and refuses one that is not exactly of this version's form.

    Args:
        path: The file.

    Returns:
        The manifest.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a manifest of this version, in one line that names the place.
    """
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(
            f"Expected the manifest of a finished export. Received: {source}, which does not exist or is no file."
        )
    data = read_json(source)
    if isinstance(data, dict) and data.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"Expected schema_version={SCHEMA_VERSION} in {source}. Received: {data.get('schema_version')!r:.80}."
        )
    metric = METRIC
    if isinstance(data, dict) and "metric" in data:
        metric = from_json(Metric, data["metric"], where=f"{source}.metric")
    return from_json(Manifest, data, where=str(source), readers=readers_of(metric))
