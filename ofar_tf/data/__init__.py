"""Images in, batches out: data sets by name, their preprocessing and their pipelines. Knows nothing of models."""

from ofar_tf.data import detection
from ofar_tf.data.augmentation import AUGMENTATIONS, Augmentation
from ofar_tf.data.batch_contract import BatchContract
from ofar_tf.data.class_names import check_class_names
from ofar_tf.data.class_weights import class_weights, count_labels
from ofar_tf.data.damage import DamagedImageError, explain_damage, find_damaged
from ofar_tf.data.datasets import ImageDataset, load_dataset
from ofar_tf.data.fingerprint import Fingerprint, changed_splits, check_classes
from ofar_tf.data.mixing import Mixing
from ofar_tf.data.pipeline import evaluation_batches, steps_per_epoch, training_batches
from ofar_tf.data.preprocessing import evaluation_view, resize_batch
from ofar_tf.data.split_notes import split_notes

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "BatchContract",
    "DamagedImageError",
    "Fingerprint",
    "ImageDataset",
    "Mixing",
    "changed_splits",
    "check_class_names",
    "check_classes",
    "class_weights",
    "count_labels",
    "detection",
    "evaluation_batches",
    "evaluation_view",
    "explain_damage",
    "find_damaged",
    "load_dataset",
    "resize_batch",
    "split_notes",
    "steps_per_epoch",
    "training_batches",
]
