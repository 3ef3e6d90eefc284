"""Which images a run learns from, and how they are varied."""

from dataclasses import dataclass

from ofar_tf.run.settings import Settings, setting


@dataclass(frozen=True)
class DataSettings(Settings):
    """Which images a run learns from, and how they are varied."""

    dataset: str = setting(
        "fashion_mnist_mini",
        "fashion_mnist_mini (ships with the package), image_folder, or any tensorflow-datasets image classification "
        "set by name: cifar10, imagenette/160px-v2, imagenet2012. With --task=detection: fashion_mnist_scenes (made of "
        "bundled images), coco_folder, voc_folder, yolo_folder, or a tensorflow-datasets set with boxes: coco/2017.",
    )
    data_dir: str | None = setting(
        None, "Where the data set lies; for image_folder and its like, the folder itself.", free=True
    )
    download: bool = setting(
        False, "Fetch what is missing: a data set of tensorflow-datasets, Keras' weights.", free=True
    )
    train_split: str = setting("train", "Split to train on, in tfds notation: train, train[:90%].")
    eval_split: str | None = setting(None, "Split to measure accuracy on; by default validation or test.")
    selection_split: str | None = setting(
        None,
        "Split whose accuracy decides what is exported and shipped: train[90%:] with --train_split=train[:90%]. Then "
        "the accuracy on --eval_split is of images that had no part in the choice. By default the evaluation split.",
    )
    calibration_split: str | None = setting(
        None, "Split to calibrate BatchNorm and quantization on; by default the training split."
    )
    augmentation: str = setting(
        "random_resized_crop",
        "How training images are varied.",
        choices=("none", "pad_and_crop", "random_resized_crop"),
    )
    crop_scale_min: float = setting(0.25, "Least area share of a random resized crop.", low=0.01, high=1.0)
    flip: bool = setting(True, "Mirror half of the training images.")
    color_jitter: float = setting(
        0.0, "Strength of random brightness, contrast, saturation and hue; 0 for none, 0.4 is usual.", low=0.0, high=1.0
    )
    rand_augment_layers: int = setting(0, "Random operations on each image (RandAugment); 2 is usual.", low=0, high=16)
    rand_augment_magnitude: float = setting(9.0, "Strength of RandAugment's operations.", low=0.0, high=10.0)
    mixup_alpha: float = setting(
        0.0, "Blend pairs of images and their labels: parameter of the Beta distribution; 0 for none.", low=0.0
    )
    cutmix_alpha: float = setting(
        0.0, "Paste a window of one image into another, and blend their labels by area; 0 for none.", low=0.0
    )
    label_smoothing: float = setting(
        0.0,
        "Share of each label spread evenly over all classes.",
        low=0.0,
        high=0.9,
    )
    class_weight: str = setting(
        "none",
        "What counts the same in training: every image (none), or every class, however many images it has (balanced).",
        choices=("none", "balanced"),
    )
    eval_resize: int | None = setting(
        None,
        "Pixels of the shorter side before the central crop at evaluation; by default 256/224 of the largest "
        "resolution with random_resized_crop, else the largest resolution.",
        low=1,
    )
