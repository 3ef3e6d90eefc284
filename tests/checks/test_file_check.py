import dataclasses
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.checks import file_check
from ofar_tf.conversion.converter import convert
from ofar_tf.tasks.classification.task import Classification


def check_file(path, model, images, **options):
    return file_check.check_file(path, model, images, task=Classification(3), **options)


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")

    def file(name, content):
        (folder / name).write_bytes(content)
        return folder / name

    return file


def convert_freely(function, *, shape, operators):
    """Converts a function of an image as our exporter never would."""
    module = tf.Module()
    module.serve = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32, name="image")])
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.serve)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = operators
        return converter.convert()


def test_a_good_float32_file_passes(converted, network, images):
    checks = check_file(converted("float32"), network, images)
    assert checks.passed and checks.reasons == ()
    assert checks.max_difference < 1e-6 and checks.argmax_agreement == 1.0 and checks.images == 24
    # By hand: the rescaling is a MUL and an ADD, the second ADD is the residual; BatchNorm and ReLU6 are folded.
    assert checks.operators == {
        "ADD": 2, "CONV_2D": 2, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "MEAN": 1, "MUL": 1, "SOFTMAX": 1
    }  # fmt: skip


def test_a_good_int8_file_passes_without_a_tolerance_and_fails_float32s(converted, network, images):
    checks = check_file(converted("int8"), network, images, tolerance=None)
    assert checks.passed and checks.tolerance is None
    strict = check_file(converted("int8"), network, images)
    assert not strict.passed
    assert strict.reasons[0].startswith("Its scores differ from Keras by up to")


def test_a_file_of_another_network_fails(converted, images):
    image = keras.Input((16, 16, 3))
    other = keras.Model(image, keras.layers.Softmax()(keras.layers.GlobalAveragePooling2D()(image)))
    assert "differ from Keras" in check_file(converted("float32"), other, images).reasons[0]


def test_a_network_whose_scores_are_nan_fails(network, images, write):
    broken = keras.models.clone_model(network)
    broken.layers[-2].bias.assign([np.nan] * 3)
    checks = check_file(write("nan.tflite", convert(broken, precision="float32")), broken, images)
    assert not checks.finite and checks.max_difference is None
    assert checks.reasons == ("100% of its scores are not finite.",)


def test_a_file_that_lost_its_weights_on_the_short_way_fails(network, images, write):
    """The trap of DESIGN section 4: this way of converting a Keras 3 model succeeds and gives NaN."""
    call = tf.function(lambda image: network(image, training=False))
    function = call.get_concrete_function(tf.TensorSpec([1, 16, 16, 3], tf.float32, name="image"))
    content = tf.lite.TFLiteConverter.from_concrete_functions([function], network).convert()
    checks = check_file(write("short.tflite", content), network, images)
    assert not checks.passed and not checks.stateless
    assert "It keeps variables, so its weights may be lost: READ_VARIABLE, VAR_HANDLE." in checks.reasons


def test_a_dynamic_batch_fails(network, images, write):
    content = convert_freely(
        lambda image: {"probabilities": tf.nn.softmax(tf.reduce_mean(image, [1, 2]))},
        shape=[None, 16, 16, 3],
        operators=[tf.lite.OpsSet.TFLITE_BUILTINS],
    )
    checks = check_file(write("dynamic.tflite", content), network, images, tolerance=None)
    assert not checks.static_shape
    assert len(checks.reasons) == 1 and checks.reasons[0].startswith("Its shapes are not static")


def test_a_batch_of_two_fails(network, images, write):
    content = convert_freely(
        lambda image: {"probabilities": tf.nn.softmax(tf.reduce_mean(image, [1, 2]))},
        shape=[2, 16, 16, 3],
        operators=[tf.lite.OpsSet.TFLITE_BUILTINS],
    )
    checks = check_file(write("two.tflite", content), network, images, tolerance=None)
    assert not checks.static_shape and "Its batch is 2, not 1." in checks.reasons


def test_flex_operators_fail(network, images, write):
    content = convert_freely(
        lambda image: {"probabilities": tf.linalg.inv(tf.linalg.diag(1 + tf.reduce_mean(image, [1, 2])))[:, 0]},
        shape=[1, 16, 16, 3],
        operators=[tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS],
    )
    checks = check_file(write("flex.tflite", content), network, images)
    assert not checks.builtin_only and not checks.runs
    assert checks.reasons[0] == "It needs operators that are not builtin: FlexMatrixInverse."
    assert checks.reasons[1].startswith("LiteRT cannot run it: ")


def test_logits_fail(network, images, write):
    logits = keras.Model(network.input, 100 * network.layers[-2].output)
    checks = check_file(write("logits.tflite", convert(logits, precision="float32")), logits, images)
    assert checks.reasons[0].startswith("Its probabilities are not within 0 to 1: they reach from")


def test_an_int8_input_that_does_not_take_bytes_fails(network, images, write):
    converter_images = images / 2  # The range 0 to 127 gives a scale of 0.5.
    archive = keras.export.ExportArchive()
    spec = tf.TensorSpec([1, 16, 16, 3], tf.float32, name="image")
    archive.add_endpoint("serve", lambda image: {"p": network(image, training=False)}, input_signature=[spec])
    with tempfile.TemporaryDirectory() as folder, pytest.warns(UserWarning, match="tf.lite.Interpreter is deprecated"):
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serve"])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ({"image": image[None]} for image in converter_images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
        content = converter.convert()
    checks = check_file(write("half.tflite", content), network, images, tolerance=None)
    assert checks.reasons[0].startswith("Its input does not take image bytes as they are: scale 0.4")


def test_bytes_that_are_no_tflite_file_are_refused(network, images, write):
    with pytest.raises(ValueError, match=r"Expected a TFLite file, with TFL3 as bytes 4 to 7. Received: b'garbageg'"):
        check_file(write("garbage.tflite", b"garbage" * 9), network, images)


@pytest.mark.parametrize("shape", [(0, 16, 16, 3), (2, 8, 8, 3)])
def test_images_that_do_not_fit_are_refused(converted, network, shape):
    with pytest.raises(ValueError, match="Expected images of shape"):
        check_file(converted("float32"), network, np.zeros(shape, np.float32))


def test_checks_that_contradict_themselves_are_refused(converted, network, images):
    checks = check_file(converted("float32"), network, images)
    with pytest.raises(ValueError, match="Expected a file that passes exactly if nothing is wrong"):
        dataclasses.replace(checks, reasons=("It is bad.",))
    with pytest.raises(ValueError, match="Expected a file that passes exactly if nothing is wrong"):
        dataclasses.replace(checks, finite=False)
    assert checks.with_reason("It is bad.").reasons == ("It is bad.",)
