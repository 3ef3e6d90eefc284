import importlib.util
import sys

import numpy as np
import pytest

from ofar_tf.conversion import mixed_precision as module
from ofar_tf.conversion.mixed_precision import Bits, layers_of, mixed_precision
from ofar_tf.family.export_spec import ExportSpec
from ofar_tf.tflite.classifier import TFLiteClassifier
from ofar_tf.tflite.file_graph import operator_names

LAYERS = tuple(module.Layer(f"layer{index}", "CONV_2D", 100 - index) for index in range(10))


@pytest.fixture(scope="module")
def content(converted):
    return converted("float32").read_bytes()


def test_layers_are_the_operators_with_their_weights(content):
    layers = layers_of(content)
    assert [layer.operator for layer in layers] == operator_names(content)
    # The stem has 3 x 3 x 3 x 8 weights, the depthwise convolution 3 x 3 x 8, the last 1 x 1 convolution 8 x 8.
    assert [layer.weights for layer in layers if "CONV" in layer.operator] == [216, 72, 64]
    assert len({layer.name for layer in layers}) == len(layers)


class Samples:
    """A quantizer whose files change the answers if more than so many layers have 4 bits, or fewer are in floats."""

    def __init__(self, *, fours=10, floats=0):
        self.fours, self.floats, self.tried = fours, floats, []
        self.answers = np.zeros(200)

    def quantized(self, bits):
        self.tried.append(bits)
        return b"x" * (1000 - 40 * len(bits.fours) + 30 * len(bits.floats))

    def answers_of(self, made):
        bits = self.tried[-1]
        wrong = 0 if len(bits.fours) <= self.fours and len(bits.floats) >= self.floats else 2
        return np.arange(200) < wrong


@pytest.mark.parametrize("possible", range(11))
def test_as_many_layers_as_possible_get_four_bits_in_few_tries(possible):
    samples = Samples(fours=possible)
    search = module._Search(samples)
    assert search.keeps(Bits())
    search.most(10, lambda count: Bits(fours=LAYERS[:count]))
    assert len(search.smallest()) == 1000 - 40 * possible
    assert len(samples.tried) <= 5


@pytest.mark.parametrize("needed", range(1, 11))
def test_as_few_layers_as_possible_stay_in_floats(needed):
    samples = Samples(floats=needed)
    search = module._Search(samples)
    assert not search.keeps(Bits())
    search.fewest(10, lambda count: Bits(floats=LAYERS[:count]))
    assert len(search.smallest()) == 1000 + 30 * needed
    assert len(samples.tried) <= 6


def test_half_a_per_cent_of_the_answers_may_change():
    samples = Samples()
    samples.answers_of = lambda made: np.arange(200) < 1
    assert module._Search(samples).keeps(Bits())


def test_a_file_keeps_the_answers_and_is_no_larger_than_8_bits_make_it(content, images, tmp_path, capfd):
    pytest.importorskip(module.PACKAGE)
    (tmp_path / "float.tflite").write_bytes(content)
    (tmp_path / "mixed.tflite").write_bytes(mixed_precision(content, images))
    mixed = TFLiteClassifier(tmp_path / "mixed.tflite")
    assert mixed.input.dtype == mixed.output.dtype == "float32"
    expected = TFLiteClassifier(tmp_path / "float.tflite").scores(images).argmax(-1)
    assert (mixed.scores(images).argmax(-1) == expected).all()  # One of 24 images would be more than half a per cent.
    whole = module._Samples(content, images).quantized(Bits())
    assert (tmp_path / "mixed.tflite").stat().st_size <= len(whole)


def test_the_layers_that_rounding_hurts_come_first(content, images):
    pytest.importorskip(module.PACKAGE)
    samples = module._Samples(content, images)
    stem = next(layer for layer in layers_of(content) if layer.operator == "CONV_2D")
    in_floats = operator_names(samples.quantized(Bits(floats=(stem,))))
    assert in_floats.count("QUANTIZE") + in_floats.count("DEQUANTIZE") > 2
    sorted_layers = samples.by_error(samples.quantized(Bits()))
    assert sorted(sorted_layers, key=LAYERS_KEY) == sorted(layers_of(content), key=LAYERS_KEY)


def LAYERS_KEY(layer):  # noqa: N802
    return layer.name


def test_without_the_extra_the_export_is_refused_before_it_begins(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == module.PACKAGE else real(name))
    with pytest.raises(ValueError, match=r"pip install 'ofar-tf\[quantization\]'\. Received: none\.$"):
        ExportSpec(precisions=("float32", "mixed"))
    assert ExportSpec(precisions=("int8",)).precisions == ("int8",)


def test_the_extra_is_not_loaded_without_need():
    assert module.PACKAGE not in vars(sys.modules[module.__name__])
