"""What a result was made with: versions, commit, machine."""

import importlib.metadata
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from ofar_tf.files import atomic_file

PACKAGES = ("ofar-tf", "tensorflow", "keras", "numpy", "tensorflow-datasets", "ai-edge-litert")


def versions() -> dict[str, str]:
    """Returns the versions of the packages that a result depends on."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}}


def git_commit() -> str | None:
    """Returns the commit of the checkout this package runs from, `None` if it is installed otherwise."""
    package = Path(__file__).parent
    try:
        arguments = ["git", "-C", str(package), "describe", "--always", "--dirty", "--abbrev=40"]
        found = subprocess.run(arguments, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None


def note_session(path: Path) -> None:
    """Adds to `environment.json` what this start of a run runs on."""
    import tensorflow as tf

    sessions = _sessions(path)
    sessions.append(
        {
            "command": sys.argv,
            "versions": versions(),
            "git": git_commit(),
            "platform": platform.platform(),
            "devices": [device.name for device in tf.config.list_physical_devices()],
        }
    )
    atomic_file.write_text(path, json.dumps(sessions, indent=1) + "\n")


def _sessions(path: Path) -> list[Any]:
    """Reads the starts noted so far. They are for people: a damaged list is begun anew, and stops no run."""
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return []
    return noted if isinstance(noted, list) else []
