"""What there is to know of a TFLite file besides its accuracy: memory, GPU, and where rounding hurt."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ofar_tf.deploy.arena import arena_bytes
from ofar_tf.deploy.gpu_delegate import gpu_refused
from ofar_tf.deploy.layer_errors.layer_error import LayerError
from ofar_tf.deploy.layer_errors.layer_errors import layer_errors
from ofar_tf.deploy.layer_errors.layer_outputs import LayerOutputs


@dataclass(frozen=True)
class FileFacts:
    """Facts about one file.

    Attributes:
        arena_bytes: Memory of its tensors (`ofar_tf.deploy.arena`); None where LiteRT cannot run it.
        gpu_refused: Operators that a GPU would leave to the CPU, with the reason (`ofar_tf.deploy.gpu_delegate`).
        layer_errors: The error of each layer's output (`ofar_tf.deploy.layer_errors`); none for float32, and none
            where LiteRT cannot run it.
    """

    arena_bytes: int | None
    gpu_refused: Mapping[str, str]
    layer_errors: tuple[LayerError, ...]


def read_facts(path: Path, *, reference: LayerOutputs | None, images: np.ndarray) -> FileFacts:
    """Finds the facts.

    Args:
        path: The file.
        reference: The network that its layers are compared with; None for files that are not compared.
        images: What they are compared on, [N, r, r, 3], values in 0..255.

    Returns:
        The facts.
    """
    refused = gpu_refused(path.read_bytes())
    try:
        errors = layer_errors(path, reference, images) if reference else ()
        return FileFacts(arena_bytes(path), refused, errors)
    except (RuntimeError, ValueError):  # LiteRT cannot run it, which the checks of the file report.
        return FileFacts(None, refused, ())
