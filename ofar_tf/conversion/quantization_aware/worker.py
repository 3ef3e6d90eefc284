"""Quantization-aware fine-tuning, one network in a process of its own, which takes jobs as `conversion.worker` does.

The network is rebuilt in Keras 2 with rounding put in by tensorflow-model-optimization, and taught by the float network
that it comes from, so no labels are needed. Only this process and `legacy_network` know either library.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from ofar_tf.conversion.converter import INPUT_NAME, OUTPUT_NAME, SIGNATURE
from ofar_tf.conversion.jobs import ConversionJob
from ofar_tf.conversion.open_network import open_network
from ofar_tf.conversion.quantization_aware.fine_tuning import FineTuning
from ofar_tf.conversion.quantization_aware.folded_network import fold
from ofar_tf.conversion.quantization_aware.layer_steps import Step
from ofar_tf.conversion.quantization_aware.legacy_network import build, build_quantized, use_standard_keras_2
from ofar_tf.conversion.worker import serve
from ofar_tf.files.scratch_folder import scratch_folder
from ofar_tf.tflite.file_graph import read_graph

TWIN_TOLERANCE = 1e-5
"""Largest accepted difference between a probability of the rebuilt network and of the network itself, both in float64.

In float32, rounding alone may exceed it: 3e-4 on a ResNet-50 with random weights and logits stretched to a standard
deviation of 4; a tolerance above that would let a wrong epsilon pass.
"""

_TWIN_IMAGES = 32


def convert(model: keras.Model, *, images: np.ndarray, fine_tuning: FineTuning) -> bytes:
    """Fine-tunes a classifier in 8 bits and converts it.

    Args:
        model: A functional model of stock layers, images [batch, r, r, 3] in 0..255 to probabilities [batch, K].
        images: Training images [N, r, r, 3], values in 0..255; whole numbers, as the file will see them.
        fine_tuning: How long and how fast.

    Returns:
        The content of a TFLite file that takes uint8 images and gives uint8 probabilities. Its signature is that of
        `ofar_tf.conversion.converter.convert`.

    Raises:
        ValueError: If a layer cannot be run in integers, the images do not fit, or the network rebuilt in Keras 2 does
            not give the same probabilities.
    """
    shape = tuple(model.input_shape[1:])
    if not len(images) or images.shape[1:] != shape:
        raise ValueError(f"Expected images of shape [N, {', '.join(map(str, shape))}]. Received: {images.shape}.")
    _be_repeatable(fine_tuning.seed)
    steps = fold(model)
    check_twin(steps, model, images[:_TWIN_IMAGES], seed=fine_tuning.seed)
    quantized = build_quantized(steps, shape=shape)
    targets = np.concatenate([np.asarray(model(batch, training=False)) for batch in _batches(images, fine_tuning)])
    measure_ranges = tf.function(lambda batch: quantized(batch, training=True), reduce_retracing=True)
    for batch in _batches(images, fine_tuning):
        measure_ranges(tf.constant(batch))
    _teach(quantized, images, targets, fine_tuning=fine_tuning)
    # The ranges of the kernels are those before the last step: once more, so that nothing is cut off.
    measure_ranges(tf.constant(next(_batches(images, fine_tuning))))
    content = _tflite_of(quantized, shape=shape)
    if "DEQUANTIZE" in (operators := read_graph(content).operators):
        raise ValueError(f"Expected a file that computes in integers throughout. Received: the operators {operators}.")
    return content


def check_twin(steps: Sequence[Step], model: keras.Model, images: np.ndarray, *, seed: int = 0) -> None:
    """Compares the network rebuilt in Keras 2 with the network itself in float64, on real images and on noise.

    Args:
        steps: What `ofar_tf.conversion.quantization_aware.folded_network.fold` made of the model.
        model: Images to probabilities.
        images: [N, r, r, 3], values in 0..255.
        seed: Of the noise.

    Raises:
        ValueError: If a probability differs by more than `TWIN_TOLERANCE`.
    """
    noise = np.random.default_rng(seed).integers(0, 256, images.shape)
    both = np.concatenate([images, noise]).astype(np.float64)
    expected = np.asarray(_in_float64(model)(both, training=False))
    twin = build(steps, shape=images.shape[1:], dtype="float64")
    difference = float(np.abs(tf.nn.softmax(twin(both, training=False)).numpy() - expected).max())
    if not difference <= TWIN_TOLERANCE:
        raise ValueError(
            f"Expected the network rebuilt in Keras 2 to differ from {model.name} by at most {TWIN_TOLERANCE:g}. "
            f"Received: a probability that differs by {difference:.3g}."
        )


def _in_float64(model: keras.Model) -> keras.Model:
    def clone(layer: keras.Layer) -> keras.Layer:
        if not isinstance(layer, keras.Layer):  # What `x + y` leaves has no type of its own.
            return layer
        return type(layer).from_config({**layer.get_config(), "dtype": "float64"})

    precise = keras.models.clone_model(model, clone_function=clone, recursive=True)
    precise.set_weights(model.get_weights())
    return precise


def _be_repeatable(seed: int) -> None:
    use_standard_keras_2()
    tf_keras.utils.set_random_seed(seed)
    # On GPUs, TensorFloat-32 would hide a wrong twin, and the gradients of rounding have no deterministic form.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()


def _floats(images: np.ndarray) -> np.ndarray:
    return np.asarray(images, np.float32)


def _batches(images: np.ndarray, fine_tuning: FineTuning) -> Iterator[np.ndarray]:
    for start in range(0, len(images), fine_tuning.batch_size):
        yield _floats(images[start : start + fine_tuning.batch_size])


def _teach(student: tf_keras.Model, images: np.ndarray, targets: np.ndarray, *, fine_tuning: FineTuning) -> None:
    """Minimizes KL(teacher, student) by Adam.

    The order of the images is a fixed function of the seed and the epoch.
    """
    steps = fine_tuning.epochs * -(-len(images) // fine_tuning.batch_size)
    rate = tf_keras.optimizers.schedules.CosineDecay(fine_tuning.learning_rate, max(steps, 1))
    optimizer = tf_keras.optimizers.Adam(rate)
    # A wrapper lists its kernel even where its layer is not to be trained.
    variables = [variable for layer in student.layers if layer.trainable for variable in layer.trainable_variables]

    @tf.function(reduce_retracing=True)
    def step(batch: tf.Tensor, target: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits = student(batch, training=True)
            # The cross-entropy with the teacher's probabilities: KL plus a constant.
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, logits))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    for epoch in range(fine_tuning.epochs):
        order = np.random.default_rng([fine_tuning.seed, epoch]).permutation(len(images))
        for start in range(0, len(images), fine_tuning.batch_size):
            chosen = np.sort(order[start : start + fine_tuning.batch_size])
            step(tf.constant(_floats(images[chosen])), tf.constant(targets[chosen]))


def _tflite_of(quantized: tf_keras.Model, *, shape: tuple[int, ...]) -> bytes:
    @tf.function(input_signature=[tf.TensorSpec([1, *shape], tf.float32, name=INPUT_NAME)])
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {OUTPUT_NAME: tf.nn.softmax(quantized(image, training=False))}

    # The model itself would be saved layer by layer, which takes several times as long.
    holder = tf.Module()
    holder.variables_of_model = quantized.variables
    with scratch_folder("network") as folder:
        tf.saved_model.save(holder, str(folder), signatures={SIGNATURE: serve})
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[SIGNATURE])
        # No set of operators is named: that of integers alone asks for representative images, but all ranges are here.
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
        return converter.convert()


@contextmanager
def _fine_tuning(model: keras.Model, _: ConversionJob) -> Iterator[Callable[[ConversionJob], bytes]]:
    def convert_job(job: ConversionJob) -> bytes:
        images = job.load_images()
        if job.fine_tuning is None or images is None:
            raise ValueError(f"Expected a job with fine-tuning. Received: {job}.")
        return convert(model, images=images, fine_tuning=job.fine_tuning)

    yield convert_job


if __name__ == "__main__":
    serve(partial(open_network, prepare=_fine_tuning))
