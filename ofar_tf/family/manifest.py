"""`manifest.json`: what an export folder holds, for programs to read."""

import datetime
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self

from ofar_tf.family.model_entry import Latency, Metrics, ModelEntry
from ofar_tf.files import atomic_file
from ofar_tf.files.json_values import from_json, read_json

__all__ = [
    "SCHEMA_VERSION",
    "Latency",
    "Manifest",
    "ManifestHeader",
    "Metrics",
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
    """

    schema_version: int = field(default=SCHEMA_VERSION, kw_only=True)
    versions: Mapping[str, str]
    git: str | None
    dataset: Mapping[str, Any]
    seed: int | None
    created: str

    @classmethod
    def now(cls, *, versions: Mapping[str, str], git: str | None, dataset: Mapping[str, Any], seed: int) -> Self:
        """Makes the head of a manifest that is written now; see the attributes."""
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return cls(versions=versions, git=git, dataset=dataset, seed=seed, created=created)

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
        if any(first.macs < second.macs for first, second in itertools.pairwise(self.models)):
            macs = [model.macs for model in self.models]
            raise ValueError(f"Expected the models with the most MACs first. Received: {macs!r:.200}.")


def write_manifest(path: str | Path, manifest: Manifest) -> None:
    """Writes a manifest atomically.

    Args:
        path: Where to, normally `manifest.json` in the export folder.
        manifest: What to write.
    """
    data = _without_unknown(asdict(manifest))
    atomic_file.write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


_LATER = ("versions", "top1_interval", "selection", "accuracy", "rounds", "spread_ms", "predicted")
"""Keys that version 0.1.0 did not know: where there is nothing to say they are left out, so that it reads the file."""


def _without_unknown(data: Any) -> Any:
    if isinstance(data, (list, tuple)):
        return [_without_unknown(item) for item in data]
    if not isinstance(data, dict):
        return data
    return {key: _without_unknown(value) for key, value in data.items() if value is not None or key not in _LATER}


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
    return from_json(Manifest, data, where=str(source))
