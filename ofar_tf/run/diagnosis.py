"""What this machine has, and what will not work on it: for people who look for a fault, and for their reports."""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from ofar_tf._version import __version__
from ofar_tf.text.quantities import format_quantity

DISTRIBUTION = "ofar-tf"
# A quick start with its files and the installation of TensorFlow.
_LEAST_FREE = 2_000_000_000
_BREAKS_ABSL = "mediapipe"
_TOOLS = ("litert-benchmark", "git", "adb")


@dataclass(frozen=True)
class Finding:
    """One thing about the machine.

    Attributes:
        topic: What it is about: `python`, `packages`, `devices`, `environment`, `disk` or `tools`.
        text: What was found, in one line.
        problem: Whether something will not work because of it.
    """

    topic: str
    text: str
    problem: bool = False


def diagnose(variables: Mapping[str, str]) -> list[Finding]:
    """Looks at the interpreter, the packages, the devices, the environment and the disk.

    TensorFlow is loaded to ask for its devices; where that fails, the finding says why.

    Args:
        variables: The environment, as it was given to the program.

    Returns:
        The findings, by topic.
    """
    return [*_python(), *_packages(), *_environment(variables), *_disk(), *_devices(), *_tools()]


def _python() -> Iterator[Finding]:
    supported = (3, 11) <= sys.version_info < (3, 14)
    expected = "" if supported else "; expected 3.11, 3.12 or 3.13"
    yield Finding("python", f"ofar_tf {__version__} on Python {platform.python_version()}{expected}", not supported)
    yield Finding("python", f"{platform.platform()}, {os.cpu_count()} cores, {sys.executable}")
    if sys.platform == "win32":
        yield Finding("python", "Windows was never tried: use WSL", problem=True)


def _packages() -> Iterator[Finding]:
    """Compares what is installed with what this package asks for."""
    for text in importlib.metadata.requires(DISTRIBUTION) or ():
        required = Requirement(text)
        if required.marker is None or required.marker.evaluate({"extra": ""}):
            yield from _package(required)
    if _version_of(_BREAKS_ABSL):
        yield Finding(
            "packages", f"{_BREAKS_ABSL} needs absl-py 2, and this package 1.4: give it an environment of its own", True
        )
    if _version_of("tensorflow-cpu"):
        yield Finding("packages", "tensorflow-cpu and tensorflow overwrite each other: keep tensorflow", problem=True)


def _package(required: Requirement) -> Iterator[Finding]:
    found = _version_of(required.name)
    if found is None:
        yield Finding("packages", f"{required.name} is missing; expected {required.name}{required.specifier}", True)
    elif not required.specifier.contains(found, prereleases=True):
        yield Finding("packages", f"{required.name} {found}; expected {required.specifier}", problem=True)
    else:
        yield Finding("packages", f"{required.name} {found}")


def _version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _environment(variables: Mapping[str, str]) -> Iterator[Finding]:
    backend = variables.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        yield Finding("environment", f"KERAS_BACKEND={backend}: notebooks need tensorflow, or no such variable", True)
    if variables.get("TF_USE_LEGACY_KERAS", "0") not in ("", "0", "False", "false"):
        yield Finding("environment", "TF_USE_LEGACY_KERAS is set, which turns tf.keras into Keras 2: unset it", True)
    names = [name for name in variables if re.match(r"(TF|CUDA|XLA|OMP|ONEDNN|KERAS)_", name)]
    yield from (Finding("environment", f"{name}={variables[name]:.100}") for name in sorted(names))


def _disk() -> Iterator[Finding]:
    for name, folder in (("here", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        short = free < _LEAST_FREE
        expected = f"; expected {format_quantity(_LEAST_FREE)} for a quick start" if short else ""
        yield Finding("disk", f"{format_quantity(free)} bytes free in {folder} ({name}){expected}", short)


def _devices() -> Iterator[Finding]:
    try:
        import tensorflow as tf

        from ofar_tf.devices.accelerators import unused_gpu

        devices = tf.config.list_physical_devices()
        graphics = [device for device in devices if device.device_type != "CPU"]
        names = ", ".join(device.name.removeprefix("/physical_device:") for device in devices)
        yield Finding("devices", names if graphics else f"{names} (no GPU that TensorFlow can use)")
        if unused := unused_gpu():
            yield Finding("devices", unused, problem=True)
    except Exception as error:  # Whatever an installation that is broken raises, that is what is asked for.
        yield Finding("devices", f"TensorFlow cannot be loaded: {' '.join(str(error).split()):.200}", problem=True)


def _tools() -> Iterator[Finding]:
    for name in _TOOLS:
        beside = Path(sys.executable).with_name(name)
        found = shutil.which(name) or (str(beside) if beside.is_file() else None)
        yield Finding("tools", f"{name}: {found or 'not found'}")
