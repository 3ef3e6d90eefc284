"""Errors of layers as Model Explorer lays them over the graph of a file.

Its "custom node data": a JSON file of values by the names of the operators' outputs (`GraphNodeData` in the package
ai-edge-model-explorer, 0.1.34).
"""

import json
from collections.abc import Iterable
from pathlib import Path

from ofar_tf.checks.layer_error import LayerError
from ofar_tf.files import atomic_file

_NAME = "Rounding adds, % of the output"
_GRADIENT = ({"stop": 0, "bgColor": "#ffffff"}, {"stop": 1, "bgColor": "#e5484d"})


def write_overlay(path: Path, errors: Iterable[LayerError]) -> None:
    """Writes what each layer adds to the noise, from white for the least to red for the most.

    Args:
        path: Where to, a `.json` file.
        errors: The errors; those whose tensor is not known are left out.
    """
    results = {error.tensor: {"value": round(100 * error.added, 4)} for error in errors if error.tensor}
    data = {"name": _NAME, "results": results, "gradient": _GRADIENT}
    atomic_file.write_text(path, json.dumps(data, indent=2) + "\n")
