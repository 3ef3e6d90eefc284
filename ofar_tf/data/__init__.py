"""Images in, batches out: data sets by name, their preprocessing and their pipelines. Knows nothing of models."""

from ofar_tf.data.datasets import ImageDataset, load_dataset
from ofar_tf.data.pipeline import evaluation_batches, steps_per_epoch, training_batches
from ofar_tf.data.preprocessing import AUGMENTATIONS, augment, evaluation_view, resize_batch

__all__ = [
    "AUGMENTATIONS",
    "ImageDataset",
    "augment",
    "evaluation_batches",
    "evaluation_view",
    "load_dataset",
    "resize_batch",
    "steps_per_epoch",
    "training_batches",
]
