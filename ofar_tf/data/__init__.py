"""Images in, batches out: data sets by name, their preprocessing and their pipelines. Knows nothing of models."""

from ofar_tf.data.augmentation import AUGMENTATIONS, Augmentation
from ofar_tf.data.damage import DamagedImageError, explain_damage, find_damaged
from ofar_tf.data.datasets import ImageDataset, load_dataset
from ofar_tf.data.pipeline import evaluation_batches, steps_per_epoch, training_batches
from ofar_tf.data.preprocessing import evaluation_view, resize_batch

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "DamagedImageError",
    "ImageDataset",
    "evaluation_batches",
    "evaluation_view",
    "explain_damage",
    "find_damaged",
    "load_dataset",
    "resize_batch",
    "steps_per_epoch",
    "training_batches",
]
