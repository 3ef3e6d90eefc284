"""The `.keras` file of an export, written once."""

import hashlib
import importlib.metadata
from pathlib import Path

import keras
import numpy as np

from ofar_tf import atomic_file
from ofar_tf.deploy import records


def model_digest(model: keras.Model) -> str:
    """Computes a digest of a model's architecture and weights.

    The bytes of a `.keras` file differ each time it is written (they hold its date), so they cannot tell whether a
    model has changed.

    Args:
        model: A built model.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(model.to_json().encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def save_once(model: keras.Model, path: Path) -> None:
    """Writes a model atomically, unless the very same model is there already.

    Args:
        model: A built model.
        path: The `.keras` file.
    """
    key = {"digest": model_digest(model), "keras": importlib.metadata.version("keras")}
    record = records.record_path(path, "saved")
    saved = records.read_record(record, key=key)
    if saved is not None and path.is_file() and atomic_file.sha256_of(path) == saved["sha256"]:
        return
    with atomic_file.replacing(path) as temporary:
        model.save(temporary)
    records.write_record(record, key=key, value={"sha256": atomic_file.sha256_of(path)})
