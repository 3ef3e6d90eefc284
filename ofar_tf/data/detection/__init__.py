"""Images with boxes in, batches out: annotation files in several formats, one form behind them."""

from ofar_tf.data.detection.annotations import NO_CLASS, Annotations
from ofar_tf.data.detection.augmentation import BoxAugmentation
from ofar_tf.data.detection.batches import evaluation_batches, training_batches
from ofar_tf.data.detection.dataset import DetectionDataset
from ofar_tf.data.detection.datasets import load_detection_dataset

__all__ = [
    "NO_CLASS",
    "Annotations",
    "BoxAugmentation",
    "DetectionDataset",
    "evaluation_batches",
    "load_detection_dataset",
    "training_batches",
]
