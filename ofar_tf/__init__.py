"""Train a ConvNet once, get a family of small TFLite models.

The names below are imported when they are first used: `import ofar_tf` alone imports neither TensorFlow nor Keras, so
that the commands answer `--help` and mistakes at once.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from ofar_tf._version import __version__

if TYPE_CHECKING:
    from ofar_tf import data, models
    from ofar_tf.library import evaluate_pool, export_family
    from ofar_tf.pruning.channel_groups import find_channel_groups
    from ofar_tf.search.mask_search import MaskSearch
    from ofar_tf.training.once_for_all import OnceForAll

# On processors TensorFlow computes with oneDNN, which compiles a kernel for every shape and keeps the last 1,024. A
# pool at four resolutions has several times as many, and compiling them again takes a quarter of a training step.
# oneDNN reads this when it compiles its first kernel, so it works also after `import tensorflow`.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16384")

__all__ = [
    "MaskSearch",
    "OnceForAll",
    "__version__",
    "data",
    "evaluate_pool",
    "export_family",
    "find_channel_groups",
    "models",
]

_HOMES = {
    "MaskSearch": "ofar_tf.search.mask_search",
    "OnceForAll": "ofar_tf.training.once_for_all",
    "evaluate_pool": "ofar_tf.library",
    "export_family": "ofar_tf.library",
    "find_channel_groups": "ofar_tf.pruning.channel_groups",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in __all__:
        return importlib.import_module(f"ofar_tf.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
