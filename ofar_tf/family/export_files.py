"""An export folder as a program finds it: its manifest, and files that are those that it describes."""

import os
from pathlib import Path

from ofar_tf.family.manifest import Manifest, read_manifest
from ofar_tf.family.model_entry import is_plain
from ofar_tf.files import atomic_file

_MANIFEST = "manifest.json"


def read_export(folder: str | Path) -> Manifest:
    """Reads the manifest of an export folder and makes sure that its files are those that it describes.

    Args:
        folder: The export folder.

    Returns:
        The manifest.

    Raises:
        FileNotFoundError: If there is no manifest, or a file of it is missing.
        ValueError: If the manifest is not of this version's form, a file lies outside the folder, behind a link for
            instance, or has another size or SHA-256 than it says; in one line.
    """
    source = Path(folder)
    _refuse_run(source)
    manifest = read_manifest(source / _MANIFEST)
    for model in manifest.models:
        path = file_inside(source, model.path)
        if (digest := atomic_file.sha256_of(path)) != model.sha256:
            raise ValueError(f"Expected {path} with SHA-256 {model.sha256}, as in the manifest. Received: {digest}.")
        if (size := path.stat().st_size) != model.bytes:
            raise ValueError(f"Expected {path} with {model.bytes} bytes, as in the manifest. Received: {size}.")
    return manifest


def _refuse_run(folder: Path) -> None:
    """A run's folder is mostly at hand when that of its export is wanted, which lies in it."""
    inside = folder / "export"
    if not (folder / _MANIFEST).is_file() and (inside / _MANIFEST).is_file():
        raise FileNotFoundError(f"Expected the folder of an export, {inside} here. Received: {folder}.")


def file_inside(folder: Path, path: str) -> Path:
    """Finds a file of a manifest.

    Args:
        folder: The folder of the manifest.
        path: Relative to it.

    Returns:
        The file.

    Raises:
        FileNotFoundError: If it is missing or no file.
        ValueError: If it lies outside the folder.
    """
    found = folder / path
    # Not `Path.resolve`, which ends in a RuntimeError at links that go round.
    real, home = (Path(os.path.realpath(each)) for each in (found, folder))
    if not is_plain(path) or not real.is_relative_to(home):
        raise ValueError(f"Expected every file of the manifest within {folder}. Received: {path!r:.100}.")
    if not found.is_file():
        raise FileNotFoundError(f"Expected every file of the manifest in {folder}. Received: no {path}.")
    return found
