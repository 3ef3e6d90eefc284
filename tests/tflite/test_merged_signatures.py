import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from ofar_tf.conversion.converter import convert
from ofar_tf.tflite import merged_signatures
from ofar_tf.tflite.file_graph import read_graph
from ofar_tf.tflite.flatbuffer_file import read_model, write_model
from ofar_tf.tflite.merged_signatures import largest_difference, pack, share_kernels


def with_statistics(model, *, seed):
    """The model's weights with BatchNorm statistics of its own, as another resolution has them."""
    random = np.random.default_rng(seed)
    return [
        random.uniform(0.5, 1.5, weight.shape) if weight.name.startswith("moving") else weight.numpy()
        for weight in model.weights
    ]


@pytest.fixture(scope="module")
def singles(network, converted, make_network, make_images_at):
    """Files of one network at 16 and 12 pixels, each with statistics of its own."""
    smaller = make_network(12)
    smaller.set_weights(with_statistics(network, seed=3))
    images = make_images_at(12)

    def files(precision):
        small = convert(smaller, precision=precision, representative_images=images)
        return {"r16": converted(precision).read_bytes(), "r12": small}

    return {precision: files(precision) for precision in ("float32", "int8")}


@pytest.fixture(scope="module")
def packed(singles):
    return {precision: pack(files) for precision, files in singles.items()}


def kernel_sizes(content):
    """How many bytes each stored constant of two or four dimensions has."""
    model = read_model(content)
    tensors = [tensor for subgraph in model.subgraphs for tensor in subgraph.tensors if len(tensor.shape) in (2, 4)]
    numbers = {tensor.buffer for tensor in tensors if model.buffers[tensor.buffer].data is not None}
    return sorted(len(model.buffers[number].data) for number in numbers)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_each_signature_computes_exactly_what_its_own_file_does(precision, singles, packed, make_images_at):
    for name, single in singles[precision].items():
        pictures = make_images_at(int(name[1:]), seed=8)
        assert largest_difference(packed[precision], name, single, pictures) == 0.0


def test_another_computation_is_seen(singles, packed, network, make_network, make_images_at):
    other = make_network()
    other.set_weights(with_statistics(network, seed=4))
    single = convert(other, precision="float32")
    assert largest_difference(packed["float32"], "r16", single, make_images_at(16)) > 0.01


def test_integer_kernels_are_stored_once_and_float_kernels_twice(packed):
    # Dense 8x3, pointwise 8x8, depthwise 3x3x8 and convolution 3x3x3x8, of one byte and of four. The dense layer comes
    # after the last BatchNorm, so its floats are equal at all resolutions.
    assert kernel_sizes(packed["int8"]) == [24, 64, 72, 216]
    assert kernel_sizes(packed["float32"]) == [96, 256, 256, 288, 288, 864, 864]


def test_files_with_the_same_statistics_share_their_floats_too(singles, network, make_network):
    smaller = make_network(12)
    smaller.set_weights(network.get_weights())
    content = pack({"r16": singles["float32"]["r16"], "r12": convert(smaller, precision="float32")})
    assert kernel_sizes(content) == [96, 256, 288, 864]


def test_the_first_signature_is_what_an_application_gets_that_asks_for_none(packed):
    interpreter = Interpreter(model_content=packed["int8"])
    assert list(interpreter.get_signature_list()) == ["r16", "r12"]
    assert interpreter.get_input_details()[0]["shape"].tolist() == [1, 16, 16, 3]


def test_operators_are_named_once_and_counted_for_each_signature(singles, packed):
    model = read_model(packed["int8"])
    both = [read_graph(content).operators for content in singles["int8"].values()]
    assert len(model.operatorCodes) == len(both[0])
    assert read_graph(packed["int8"]).operators == {name: count + both[1][name] for name, count in both[0].items()}


def test_nothing_and_files_that_are_packed_already_are_refused(packed):
    with pytest.raises(ValueError, match=r"Expected at least one file to pack. Received: none."):
        pack({})
    with pytest.raises(
        ValueError, match=r"Expected files of one subgraph and one signature. Received: 2 and 2 for 'x'."
    ):
        pack({"x": packed["int8"]})


def with_kernel(content, change):
    """The file with its kernel of 216 weights changed in place."""
    model = read_model(content)
    (kernel,) = [buffer for buffer in model.buffers if buffer.data is not None and len(buffer.data) == 216]
    weights = kernel.data.view(np.int8).copy()
    change(weights)
    kernel.data = weights.view(np.uint8)
    return write_model(model)


def flip(weights, *, count=1, step=1):
    weights[:count] += np.where(weights[:count] < 0, step, -step).astype(np.int8)


@pytest.mark.parametrize(("count", "step", "shared"), [(1, 1, 1), (2, 1, 2), (3, 1, 0), (1, 2, 0), (0, 1, 0)])
def test_kernels_that_differ_in_ties_only_become_equal(count, step, shared, singles, monkeypatch):
    # One in a thousand is less than one of these 216 weights; here it is two.
    monkeypatch.setattr(merged_signatures, "_MOST_TIES", 2 / 216)
    first = write_model(read_model(singles["int8"]["r16"]))
    other = with_kernel(singles["int8"]["r12"], lambda weights: flip(weights, count=count, step=step))
    content, changed = share_kernels(first, other)
    assert changed == shared
    assert (content is other) == (shared == 0)
    sizes = kernel_sizes(pack({"r16": first, "r12": content}))
    assert sizes == ([24, 64, 72, 216] if shared or not count else [24, 64, 72, 216, 216])


def test_in_a_small_kernel_no_difference_is_a_tie(singles):
    other = with_kernel(singles["int8"]["r12"], flip)
    assert share_kernels(singles["int8"]["r16"], other) == (other, 0)
