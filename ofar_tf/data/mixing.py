"""Mixed batches: MixUp and CutMix, which put two images and their labels together."""

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Mixing:
    """How the images of a batch are mixed with each other.

    MixUp (Zhang et al. 2018) blends two images. CutMix (Yun et al. 2019) pastes a window of one into the other. The
    labels become probabilities, in the proportion of the pixels. With both alphas, each batch takes one of the two,
    at even odds.

    Each image is mixed with the next of its batch (batches are shuffled, so that is any other) and every pair draws its
    own share and window. The papers' code draws once for a batch, so one step sees even blends only and another almost
    none; with a draw for each pair every batch holds the whole distribution, which steadies gradients and BatchNorm's
    statistics, and costs the same. In our sandwich only the largest network sees the labels. The others are taught by
    its output on the same mixed images.

    Attributes:
        classes: Number of classes K, at least 2.
        mixup_alpha: Both parameters of the Beta distribution that MixUp's share is drawn from; 0 for no MixUp. 0.2 is
            usual for ImageNet.
        cutmix_alpha: The same for CutMix and its area; 1 is usual.
    """

    classes: int
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0

    def __post_init__(self) -> None:
        for name in ("mixup_alpha", "cutmix_alpha"):
            value = getattr(self, name)
            if not 0.0 <= value < float("inf"):
                raise ValueError(f"Expected a {name} of 0 or more. Received: {name}={value}.")
        if self.classes < 2:
            raise ValueError(f"Expected two or more classes. Received: classes={self.classes}.")

    @property
    def mixes(self) -> bool:
        """Whether anything is mixed at all."""
        return self.mixup_alpha > 0.0 or self.cutmix_alpha > 0.0

    def mix(self, images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mixes a batch.

        Args:
            images: float32 [B, R, R, 3] in [0, 255].
            labels: int64 [B].
            seed: int32 or int64 [2]; all that the draws depend on.

        Returns:
            Images, float32 [B, R, R, 3] in [0, 255], and labels, float32 [B, K] whose rows are probabilities. Row i of
            both is made of the rows i and i + 1 that came in, the last one of itself and the first.
        """
        choice_seed, share_seed, place_seed = tf.unstack(tf.random.split(seed, 3))
        one_hot = tf.one_hot(labels, self.classes)

        def mixup() -> tuple[tf.Tensor, tf.Tensor]:
            return _mixup(images, one_hot, _beta(tf.shape(labels), share_seed, self.mixup_alpha))

        def cutmix() -> tuple[tf.Tensor, tf.Tensor]:
            return _cutmix(images, one_hot, _beta(tf.shape(labels), share_seed, self.cutmix_alpha), place_seed)

        if self.mixup_alpha > 0.0 and self.cutmix_alpha > 0.0:
            return tf.cond(tf.random.stateless_uniform([], choice_seed) < 0.5, mixup, cutmix)
        if self.mixup_alpha > 0.0:
            return mixup()
        if self.cutmix_alpha > 0.0:
            return cutmix()
        return images, one_hot


def _mixup(images: tf.Tensor, labels: tf.Tensor, share: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    wide = share[:, None, None, None]
    mixed = wide * images + (1.0 - wide) * _next(images)
    return tf.minimum(mixed, 255.0), _blend_labels(labels, share)


def _cutmix(images: tf.Tensor, labels: tf.Tensor, share: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Pastes windows of about 1 - share of the area, with a centre anywhere, cut at the image's edges."""
    height, width, channels = images.shape[1:]
    side = tf.sqrt(1.0 - share)
    centers = tf.random.stateless_uniform([2, tf.shape(share)[0]], seed)
    rows, columns = _within(height, centers[0], side), _within(width, centers[1], side)
    # In flat rows, whose window has their very shape: `where` takes four times longer to broadcast over channels.
    flat = tf.reshape(images, [-1, height, width * channels])
    window = rows[:, :, None] & tf.repeat(columns, channels, axis=1)[:, None, :]
    pasted = tf.reshape(tf.where(window, _next(flat), flat), tf.shape(images))
    # By the pixels that were pasted, not by the share that was drawn: windows are cut and rounded.
    part = _mean(rows) * _mean(columns)
    return tf.ensure_shape(pasted, images.shape), _blend_labels(labels, 1.0 - part)


def _within(length: int, center: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """Returns, as bool [B, length], which pixels have centres in a window; it is given in parts of the length."""
    pixels = (tf.range(length, dtype=tf.float32) + 0.5) / length
    return tf.abs(pixels - center[:, None]) < side[:, None] / 2.0


def _mean(mask: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(mask, tf.float32), axis=1)


def _blend_labels(labels: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    return share[:, None] * labels + (1.0 - share[:, None]) * _next(labels)


def _next(batch: tf.Tensor) -> tf.Tensor:
    return tf.roll(batch, -1, axis=0)


def _beta(shape: tf.Tensor, seed: tf.Tensor, alpha: float) -> tf.Tensor:
    """Returns draws from Beta(alpha, alpha), float32: the share of one draw from Gamma(alpha) in the sum of two.

    They are drawn as Gamma(alpha + 1) times a uniform draw to the power of 1 / alpha, in logarithms: small alphas draw
    numbers that no float holds, and `stateless_gamma` would make both the same and the pair an even blend.
    """
    gamma_seed, power_seed = tf.unstack(tf.random.split(seed, 2))
    pairs = tf.concat([[2], shape], 0)
    uniform = 1.0 - tf.random.stateless_uniform(pairs, power_seed)  # In (0, 1].
    logs = tf.math.log(tf.random.stateless_gamma(pairs, gamma_seed, alpha + 1.0)) + tf.math.log(uniform) / alpha
    return tf.sigmoid(logs[0] - logs[1])
