import os
import subprocess
import sys
from importlib.metadata import version

import pytest

import ofar_tf


def test_importing_the_package_imports_no_tensorflow() -> None:
    code = "import sys, ofar_tf; dir(ofar_tf); print(sorted({'tensorflow', 'keras', 'numpy'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


@pytest.mark.parametrize(("given", "expected"), [({}, "16384"), ({"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "7"}, "7")])
def test_onednn_may_keep_the_kernels_of_a_whole_pool_unless_the_user_said_otherwise(given, expected) -> None:
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    environment = {key: value for key, value in os.environ.items() if key != name} | given
    code = f"import os, ofar_tf; print(os.environ['{name}'])"
    run = [sys.executable, "-c", code]
    ended = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == expected


def test_every_public_name_is_there_and_documented() -> None:
    assert set(ofar_tf.__all__) <= set(dir(ofar_tf))
    for name in ofar_tf.__all__:
        assert getattr(ofar_tf, name).__doc__, name


def test_what_the_package_needs_itself_is_not_offered() -> None:
    offered = {name for name in dir(ofar_tf) if not name.startswith("__")}
    assert offered == set(ofar_tf.__all__) - {"__version__"}


def test_the_names_of_the_house_are_the_public_ones() -> None:
    from ofar_tf.training.once_for_all import OnceForAll

    assert ofar_tf.OnceForAll is OnceForAll
    assert callable(ofar_tf.models.mobilenet_v2)
    assert callable(ofar_tf.data.load_dataset)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'ofar_tf' has no attribute 'Once4All'"):
        ofar_tf.Once4All  # noqa: B018
    assert not hasattr(ofar_tf, "train_everything")


def test_the_version_is_that_of_the_installed_package() -> None:
    assert version("ofar-tf") == ofar_tf.__version__
