"""Train a ConvNet once, get a family of small TFLite models.

The names below are imported when they are first used: `import ofar_tf` alone imports neither TensorFlow nor Keras, so
that the commands answer `--help` and mistakes at once.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from ofar_tf._version import __version__
from ofar_tf.text.quiet import quiet_start
from ofar_tf.text.stopping import is_command, stop_while_loading
from ofar_tf.text.streams import open_streams

if TYPE_CHECKING:
    from ofar_tf import data, models
    from ofar_tf.conversion.quantization_aware.fine_tuning import FineTuning
    from ofar_tf.evaluation.pool_evaluation import PoolEvaluation
    from ofar_tf.family.export_spec import ExportSpec
    from ofar_tf.library import evaluate_pool, explain, export_family, load
    from ofar_tf.pruning.budgets import Budget
    from ofar_tf.pruning.channel_groups import find_channel_groups
    from ofar_tf.pruning.channel_mask import ChannelMask, MaskRules
    from ofar_tf.pruning.costs import Costs
    from ofar_tf.run.trained_family import Family
    from ofar_tf.search.mask_search import MaskSearch
    from ofar_tf.search.mask_similarity import above_chance, cosine_similarity
    from ofar_tf.search.pool_spec import PoolSpec
    from ofar_tf.search.pruned_network_pool import PrunedNetwork, PrunedNetworkPool
    from ofar_tf.tasks.classification.task import Classification
    from ofar_tf.tflite.metadata import Credits
    from ofar_tf.training.once_for_all import OnceForAll
    from ofar_tf.training.recipe import Recipe
    from ofar_tf.training.step_spec import StepSpec

if is_command():
    open_streams()
    stop_while_loading()

# On processors TensorFlow computes with oneDNN, which compiles a kernel for every shape and keeps the last 1,024. A
# pool at four resolutions has several times as many, and compiling them again takes a quarter of a training step.
# oneDNN reads this when it compiles its first kernel, so it works also after `import tensorflow`.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16384")
# TensorFlow greets every program with lines about oneDNN and CUDA. Warnings of Python's are shown as before.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Before Keras is imported: a keras.json may name another backend, and this package needs TensorFlow's.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

__all__ = [
    "Budget",
    "ChannelMask",
    "Classification",
    "Costs",
    "Credits",
    "ExportSpec",
    "Family",
    "FineTuning",
    "MaskRules",
    "MaskSearch",
    "OnceForAll",
    "PoolEvaluation",
    "PoolSpec",
    "PrunedNetwork",
    "PrunedNetworkPool",
    "Recipe",
    "StepSpec",
    "__version__",
    "above_chance",
    "cosine_similarity",
    "data",
    "evaluate_pool",
    "explain",
    "export_family",
    "find_channel_groups",
    "load",
    "models",
]

_HOMES = {
    "Budget": "ofar_tf.pruning.budgets",
    "ChannelMask": "ofar_tf.pruning.channel_mask",
    "Classification": "ofar_tf.tasks.classification.task",
    "Costs": "ofar_tf.pruning.costs",
    "Credits": "ofar_tf.tflite.metadata",
    "ExportSpec": "ofar_tf.family.export_spec",
    "Family": "ofar_tf.run.trained_family",
    "FineTuning": "ofar_tf.conversion.quantization_aware.fine_tuning",
    "MaskRules": "ofar_tf.pruning.channel_mask",
    "MaskSearch": "ofar_tf.search.mask_search",
    "OnceForAll": "ofar_tf.training.once_for_all",
    "PoolEvaluation": "ofar_tf.evaluation.pool_evaluation",
    "PoolSpec": "ofar_tf.search.pool_spec",
    "PrunedNetwork": "ofar_tf.search.pruned_network_pool",
    "PrunedNetworkPool": "ofar_tf.search.pruned_network_pool",
    "Recipe": "ofar_tf.training.recipe",
    "StepSpec": "ofar_tf.training.step_spec",
    "above_chance": "ofar_tf.search.mask_similarity",
    "cosine_similarity": "ofar_tf.search.mask_similarity",
    "evaluate_pool": "ofar_tf.library",
    "explain": "ofar_tf.library",
    "export_family": "ofar_tf.library",
    "find_channel_groups": "ofar_tf.pruning.channel_groups",
    "load": "ofar_tf.library",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _require_tensorflow()
    with quiet_start():
        home = importlib.import_module(_HOMES.get(name, f"ofar_tf.{name}"))
        if (tensorflow := sys.modules.get("tensorflow")) is not None:
            tensorflow.config.list_physical_devices()  # Where there is no GPU, CUDA says so when it is first asked.
    return getattr(home, name) if name in _HOMES else home


def _require_tensorflow() -> None:
    loaded = sys.modules.get("keras")
    backend = loaded.config.backend() if loaded else os.environ["KERAS_BACKEND"]
    if backend != "tensorflow":
        raise ImportError(
            "Expected Keras with its TensorFlow backend: leave KERAS_BACKEND unset, or set it to tensorflow, and start "
            f"Python anew. Received: the backend {backend!r}."
        )


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
