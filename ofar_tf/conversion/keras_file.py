"""The `.keras` file of an export, written once."""

import hashlib
import importlib.metadata
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from ofar_tf.conversion.member import FamilyMember
from ofar_tf.evaluation.network_parity import NetworkParity
from ofar_tf.files import atomic_file, finished_work
from ofar_tf.files.json_values import from_json


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


@dataclass(frozen=True)
class _Saved:
    sha256: str
    parity: NetworkParity | None


def save_once(member: FamilyMember, path: Path, *, classes: int) -> NetworkParity | None:
    """Writes a member's model atomically, unless the very same model is there already.

    A member that knows its origin is not even built then: on a GPU no two calibrations give the same bits, and at
    ImageNet's scale one takes minutes.

    Args:
        member: What to build.
        path: The `.keras` file.
        classes: The number of classes the model must have.

    Returns:
        How far the model agrees with the network that was trained; None where the member does not measure it.

    Raises:
        ValueError: If the model is not of the shape that the member promises.
    """
    model = None if member.origin else member.build(classes=classes)
    digest = member.origin if model is None else model_digest(model)
    key = {"digest": digest, "keras": importlib.metadata.version("keras")}
    record = finished_work.record_path(path, "saved")
    recorded = finished_work.read_record(record, key=key)
    if recorded is not None and path.is_file() and atomic_file.sha256_of(path) == recorded["sha256"]:
        return from_json(_Saved, recorded, where=str(record)).parity
    model = model or member.build(classes=classes)
    with atomic_file.replacing(path) as temporary:
        model.save(temporary)
    parity = member.measure_parity(model) if member.measure_parity else None
    finished_work.write_record(record, key=key, value=asdict(_Saved(atomic_file.sha256_of(path), parity)))
    return parity
