import numpy as np
import pytest

from ofar_tf.conversion.images import ConversionImages

PRECISIONS = ("float32", "int8", "int16x8", "qat")


def images_of(value, calls):
    def at(resolution):
        calls.append(resolution)
        return np.full((2, resolution, resolution, 3), value, np.float32)

    return at


def test_each_set_is_made_once_and_goes_to_the_precisions_that_need_it(tmp_path):
    calls, more_calls = [], []
    images = ConversionImages(images_of(7.6, calls), images_of(7.6, more_calls))
    paths = images.write(tmp_path, precisions=PRECISIONS, resolutions=[8, 4, 8])
    assert {key: path.name for key, path in paths.items()} == {
        (name, resolution): f"{kind}_r{resolution}.npy"
        for name, kind in (("int8", "representative"), ("int16x8", "representative"), ("qat", "training"))
        for resolution in (4, 8)
    }
    assert calls == more_calls == [4, 8]


def test_images_to_learn_from_are_bytes(tmp_path):
    values = np.array([-0.3, 7.6, 255.2], np.float32).reshape(1, 1, 1, 3)
    images = ConversionImages(lambda _: values, lambda _: values)
    paths = images.write(tmp_path, precisions=PRECISIONS, resolutions=[1])
    np.testing.assert_array_equal(np.load(paths["int8", 1]), values)
    learned = np.load(paths["qat", 1])
    assert learned.dtype == np.uint8 and learned.ravel().tolist() == [0, 8, 255]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"training": len},
            r"Expected representative images for the precisions \['int8', 'int16x8'\]. Received: none.",
        ),
        ({"representative": len}, r"Expected training images for the precisions \['qat'\]. Received: none."),
    ],
)
def test_missing_images_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        ConversionImages(**given).refuse_missing(PRECISIONS)


def test_images_that_no_precision_needs_may_be_missing():
    ConversionImages().refuse_missing(["float32", "float16", "dynamic"])
