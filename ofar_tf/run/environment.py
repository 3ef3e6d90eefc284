"""What a result was made with: versions, commit, machine."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from ofar_tf.files import atomic_file

PACKAGES = ("ofar-tf", "tensorflow", "keras", "numpy", "tensorflow-datasets", "ai-edge-litert")


def versions() -> dict[str, str]:
    """Returns the versions of the packages that a result depends on."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}}


def git_commit() -> str | None:
    """Returns the commit of the checkout this package runs from, `None` if it is installed otherwise.

    An environment in the folder of another project, `project/.venv`, lies in that project's repository, whose commit
    says nothing of this package.
    """
    here = Path(__file__).resolve()
    root = _git(here.parent, "rev-parse", "--show-toplevel")
    if not root or not _is_ours(Path(root)) or not _git(here.parent, "ls-files", "--", here.name):
        return None
    return _git(here.parent, "describe", "--always", "--dirty", "--abbrev=40")


def _git(folder: Path, *arguments: str) -> str | None:
    """Returns what a git command prints; `None` where there is no git, no repository, or nothing to print."""
    # Variables such as GIT_DIR, which hooks have set, name another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), *arguments]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    except OSError:
        return None
    return ended.stdout.strip() or None if ended.returncode == 0 else None


def _is_ours(root: Path) -> bool:
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        return bool(project["project"]["name"] == PACKAGES[0])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def note_session(path: Path, *, dtype_policy: str = "float32") -> None:
    """Adds to `environment.json` what this start of a run runs on.

    Args:
        path: The file.
        dtype_policy: The number formats of training.
    """
    from ofar_tf.devices.accelerators import device_facts
    from ofar_tf.devices.processors import core_facts

    sessions = _sessions(path)
    sessions.append(
        {
            "command": sys.argv,
            "versions": versions(),
            "git": git_commit(),
            "platform": platform.platform(),
            **core_facts(),
            **device_facts(),
            "dtype_policy": dtype_policy,
        }
    )
    atomic_file.write_text(path, json.dumps(sessions, indent=1) + "\n")


def _sessions(path: Path) -> list[Any]:
    """Reads the starts noted so far. They are for people: a damaged list is begun anew, and stops no run."""
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return noted if isinstance(noted, list) else []
