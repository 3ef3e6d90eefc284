"""The `.keras` file of an export, written once."""

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofar_tf._version import __version__
from ofar_tf.conversion.member import FamilyMember
from ofar_tf.evaluation.network_parity import NetworkParity
from ofar_tf.files import atomic_file
from ofar_tf.files.finished_work import Work


@dataclass(frozen=True)
class SavedMember:
    """A `.keras` file of a member.

    Attributes:
        parity: How far the model agrees with the network that was trained; None where that is not measured.
    """

    parity: NetworkParity | None


def save_once(member: FamilyMember, path: Path, *, check_output: Callable[[Any], None]) -> SavedMember:
    """Builds a member's model and writes it atomically, unless one of the same origin is there already.

    Args:
        member: What to build.
        path: The `.keras` file.
        check_output: Raises a ValueError for outputs of another shape than the task's.

    Returns:
        What was found when it was written.

    Raises:
        ValueError: If the model is not of the shape that the member promises.
    """
    key = {"digest": member.origin, "keras": importlib.metadata.version("keras"), "ofar_tf": __version__}

    def save() -> SavedMember:
        built = member.build(check_output=check_output)
        with atomic_file.replacing(path) as temporary:
            built.save(temporary)
        return SavedMember(member.measure_parity(built) if member.measure_parity else None)

    return Work("saved", path, SavedMember, key, makes_file=True).once(save)
