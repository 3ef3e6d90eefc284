import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ofar_tf.checks.file_check import check_file
from ofar_tf.conversion import worker_process
from ofar_tf.conversion.convert_files import convert_files
from ofar_tf.conversion.jobs import ConversionJob
from ofar_tf.conversion.quantization_aware.fine_tuning import FineTuning
from ofar_tf.tasks.classification.task import Classification
from ofar_tf.tflite.network_file import TFLiteNetwork

CASES = Path(__file__).with_name("quantization_cases.py")
PACKAGE = CASES.parents[3] / "ofar_tf"
NETWORKS = ("mobilenet_v2", "resnet8", "vgg16", "wide_resnet_10_1", "odd", "gated")


@pytest.fixture(scope="module")
def facts():
    """Everything found in the one process that may import tensorflow-model-optimization."""
    done = subprocess.run([sys.executable, CASES], capture_output=True, text=True, cwd=CASES.parents[3], check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_network_rebuilt_in_keras_2_gives_the_same_probabilities(facts, network):
    twin = facts["twins"][network]
    assert twin["in_float64"] == "no error"
    # Rounding alone: folding a BatchNorm changes the order of the arithmetic.
    assert twin["in_float32"] < 1e-4
    assert twin["spread"] > 0.05


def test_a_network_rebuilt_wrongly_is_an_error(facts):
    assert facts["messages"]["twin"].startswith(
        "Expected the network rebuilt in Keras 2 to differ from functional_"
    ) and facts["messages"]["twin"].endswith("at most 1e-05. Received: a probability that differs by 2.5e-05.")


def test_images_of_another_size_are_refused(facts):
    assert facts["messages"]["images"] == "Expected images of shape [N, 8, 8, 3]. Received: (32, 16, 16, 3)."


@pytest.mark.parametrize("network", ["odd", "gated", "wide_resnet"])
def test_a_file_computes_in_integers_throughout(facts, network):
    file = facts["files"][network]
    assert set(file["types"]) == {"uint8", "int8", "int32"} and file["types"]["uint8"] == 2
    assert "DEQUANTIZE" not in file["operators"]


def test_a_batch_norm_that_no_kernel_precedes_becomes_a_depthwise_convolution(facts):
    # WRN-10-1: rescaling, the first BatchNorms of the three blocks and the last one; the others follow a convolution.
    assert facts["files"]["wide_resnet"]["operators"] == {
        "ADD": 3,
        "CONV_2D": 9,
        "DEPTHWISE_CONV_2D": 5,
        "FULLY_CONNECTED": 1,
        "MEAN": 1,
        "QUANTIZE": 2,
        "SOFTMAX": 1,
    }


@pytest.mark.parametrize("network", ["odd", "gated", "wide_resnet"])
def test_measured_ranges_alone_give_scores_near_the_float_network(facts, network):
    assert facts["files"][network]["difference"] < 0.03


def test_a_file_is_nearer_to_the_rounded_network_than_to_the_float_one(facts):
    # Its sigmoid and tanh have the ranges that TFLite gives them.
    assert facts["files"]["odd"]["foretold"] < facts["files"]["odd"]["difference"]


def test_hard_swish_is_one_operator_that_gives_what_the_rounded_network_foretold(facts):
    file = facts["files"]["gated"]
    assert file["operators"]["HARD_SWISH"] == 3 and file["operators"]["MUL"] == 3
    # The file knows 256 probabilities.
    assert file["foretold"] < min(1 / 256, file["difference"])


def test_teaching_brings_the_file_nearer_to_the_float_network(facts):
    differences = facts["learning"]["differences"]
    assert differences["taught"] < 0.95 * differences["untaught"]


def test_the_seed_alone_decides_the_weights(facts):
    assert facts["learning"]["repeats"] and facts["learning"]["depends_on_seed"]


def job_in(folder, network, images):
    network.save(folder / "net.keras")
    np.save(folder / "images.npy", np.rint(images).astype(np.uint8))
    return ConversionJob(
        folder / "net.keras",
        folder / "net_qat.tflite",
        "qat",
        folder / "images.npy",
        fine_tuning=FineTuning(epochs=1, batch_size=8),
    )


def test_a_job_becomes_a_checked_file_whatever_keras_is_set_to_and_is_not_made_twice(
    network, images, tmp_path, monkeypatch
):
    # Keras 2 and 3 both read it: their layers took an image for one of 3 rows, and rounding met two number formats.
    settings = {"floatx": "float16", "epsilon": 1e-3, "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    job = job_in(tmp_path, network, images)
    (result,) = convert_files([job], workers=1)
    assert result.error is None and job.work().finished()
    file = TFLiteNetwork(job.tflite_path)
    assert (file.input.name, file.input.dtype, file.input.scale, file.input.zero_point) == ("image", "uint8", 1.0, 0)
    (output,) = file.outputs
    assert (output.name, output.dtype, output.shape) == ("probabilities", "uint8", (1, 3))
    checks = check_file(job.tflite_path, network, np.rint(images), task=Classification(3), tolerance=None)
    assert checks.passed and checks.argmax_agreement > 0.9
    assert convert_files([job], workers=1)[0].skipped


def test_a_killed_fine_tuning_leaves_no_file(network, images, tmp_path, monkeypatch):
    started = subprocess.Popen

    def start_and_kill(command, **kwargs):
        assert command[1:3] == ["-m", "ofar_tf.conversion.quantization_aware.worker"]
        process = started(command, **kwargs)
        process.kill()
        return process

    monkeypatch.setattr(worker_process.subprocess, "Popen", start_and_kill)
    job = job_in(tmp_path, network, images)
    (result,) = convert_files([job], workers=1)
    assert result.error == "The conversion process ended with signal SIGKILL: no message"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images.npy", "net.keras"]


@pytest.mark.parametrize(("precision", "fine_tuning"), [("qat", None), ("int8", FineTuning())])
def test_a_job_is_fine_tuned_exactly_if_its_precision_needs_it(precision, fine_tuning, tmp_path):
    with pytest.raises(ValueError, match="Expected fine-tuning exactly where the precision needs it"):
        ConversionJob(
            tmp_path / "net.keras",
            tmp_path / "net.tflite",
            precision,
            tmp_path / "images.npy",
            fine_tuning=fine_tuning,
        )


@pytest.mark.parametrize("changes", [{"epochs": -1}, {"learning_rate": 0.0}, {"batch_size": 0}])
def test_fine_tuning_that_makes_no_sense_is_refused(changes):
    with pytest.raises(ValueError, match="Expected epochs of at least 0, a positive learning rate and a batch size"):
        FineTuning(**changes)


def test_only_the_process_of_its_own_imports_keras_2():
    # The import of tensorflow-model-optimization turns `tf.keras` into Keras 2 for the whole process.
    name = r"tf_keras|tensorflow_model_optimization|ofar_tf\.conversion\.quantization_aware\.(legacy_network|worker)"
    importing = re.compile(rf"^\s*(import|from) ({name})\b", re.MULTILINE)
    users = {path.name for path in PACKAGE.rglob("*.py") if importing.search(path.read_text())}
    assert users == {"legacy_network.py", "worker.py"}
