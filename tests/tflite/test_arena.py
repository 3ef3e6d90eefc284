from hypothesis import given
from hypothesis import strategies as st

from ofar_tf.tflite.arena import arena_bytes, covered
from ofar_tf.tflite.file_graph import constant_tensors

SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 15)).map(lambda span: (span[0], sum(span))))


@given(SPANS)
def test_each_address_counts_once(spans):
    assert covered(spans) == len({address for start, end in spans for address in range(start, end)})


def test_the_memory_holds_at_least_what_is_alive_at_once(converted):
    # 16 x 16 x 3 pixels, scaled into as many; 8 x 8 x 8 after the first convolution. int8 stores each in one byte, and
    # its uint8 input is a tensor of its own.
    pixels, features = 16 * 16 * 3, 8 * 8 * 8
    assert 4 * (pixels + max(pixels, features)) <= arena_bytes(converted("float32")) < 100_000
    assert 2 * pixels <= arena_bytes(converted("int8")) < arena_bytes(converted("float32")) / 2


def test_the_weights_are_no_part_of_it(converted):
    content = converted("float32").read_bytes()
    # Four kernels with a bias each, the scale and offset of the pixels, and the axes of the mean.
    assert len(constant_tensors(content)) == 11
    # LiteRT unpacks weights of 16 bits before it runs.
    assert arena_bytes(converted("float16")) > arena_bytes(converted("float32"))
