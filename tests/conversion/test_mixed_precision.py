import numpy as np
import pytest

from ofar_tf.conversion import mixed_precision as module
from ofar_tf.conversion.mixed_precision import MOST_LOST, expected_loss, mixed_precision
from ofar_tf.conversion.mixed_rounding import PACKAGE, Bits, Layer, Samples
from ofar_tf.tflite.network_file import TFLiteNetwork

LAYERS = tuple(Layer(f"layer{index}", "CONV_2D", 100 - index) for index in range(10))


@pytest.fixture(scope="module")
def content(converted):
    return converted("float32").read_bytes()


class FakeSamples:
    """A quantizer whose files change the answers if more than so many layers have 4 bits, or fewer are in floats."""

    def __init__(self, *, fours=10, floats=0):
        self.fours, self.floats, self.tried = fours, floats, []
        self.scores = np.tile([1.0, 0.0], (200, 1))

    def quantized(self, bits):
        self.tried.append(bits)
        return b"x" * (1000 - 40 * len(bits.fours) + 30 * len(bits.floats))

    def answers_of(self, made):
        bits = self.tried[-1]
        wrong = 0 if len(bits.fours) <= self.fours and len(bits.floats) >= self.floats else 2
        return (np.arange(200) < wrong).astype(int)


@pytest.mark.parametrize("possible", range(11))
def test_as_many_layers_as_possible_get_four_bits_in_few_tries(possible):
    samples = FakeSamples(fours=possible)
    search = module._Search(samples)
    assert search.keeps(Bits())
    search.most(10, lambda count: Bits(fours=LAYERS[:count]))
    assert len(search.smallest()) == 1000 - 40 * possible
    assert len(samples.tried) <= 5


@pytest.mark.parametrize("needed", range(1, 11))
def test_as_few_layers_as_possible_stay_in_floats(needed):
    samples = FakeSamples(floats=needed)
    search = module._Search(samples)
    assert not search.keeps(Bits())
    search.fewest(10, lambda count: Bits(floats=LAYERS[:count]))
    assert len(search.smallest()) == 1000 + 30 * needed
    assert len(samples.tried) <= 6


def test_an_answer_costs_what_its_score_lacks():
    # The first is kept; the second gives up .6 for .4, the third a toss-up for nothing.
    scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]])
    assert expected_loss(scores, np.array([0, 0, 1])) == pytest.approx(0.2 / 3)


def test_half_a_point_of_accuracy_may_be_lost():
    samples = FakeSamples()
    samples.answers_of = lambda made: (np.arange(200) < 1).astype(int)
    assert module._Search(samples).keeps(Bits())


def test_a_file_keeps_the_accuracy_and_is_no_larger_than_8_bits_make_it(content, images, tmp_path, capfd):
    pytest.importorskip(PACKAGE)
    (tmp_path / "float.tflite").write_bytes(content)
    (tmp_path / "mixed.tflite").write_bytes(mixed_precision(content, images))
    mixed = TFLiteNetwork(tmp_path / "mixed.tflite")
    assert mixed.input.dtype == mixed.outputs[0].dtype == "float32"
    expected = TFLiteNetwork(tmp_path / "float.tflite").run(images)
    assert expected_loss(expected, mixed.run(images).argmax(-1)) <= MOST_LOST
    whole = Samples(content, images).quantized(Bits())
    assert (tmp_path / "mixed.tflite").stat().st_size <= len(whole)
