import sys

import pytest

from ofar_tf.models.user_code import call_function

SOURCE = """
def plain(classes):
    return {"classes": classes}

def rich(*, classes, width_multiplier=0.5, small_images=True):
    return {"classes": classes, "width": width_multiplier, "small": small_images}

def anything(**arguments):
    return arguments

def deaf(outputs):
    return outputs

def broken(classes):
    raise KeyError("first line\\nsecond line")

number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    name = f"user_code_of_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return name


def call(reference: str, *, width_multiplier: float = 1.0, small_images: bool = False):
    return call_function(reference, classes=10, width_multiplier=width_multiplier, small_images=small_images)


def test_a_function_gets_the_number_of_classes(module):
    assert call(f"{module}:plain") == {"classes": 10}


def test_a_function_whose_head_is_replaced_needs_no_number_of_classes(module):
    source = f"{module}:deaf"
    sizes = {"classes": 10, "width_multiplier": 1.0, "small_images": False}
    with pytest.raises(ValueError, match="missing 1 required positional argument: 'outputs'"):  # It is called.
        call_function(source, **sizes, new_head=True)
    assert call_function(f"{module}:plain", **sizes, new_head=True) == {"classes": 10}


def test_a_function_gets_the_settings_that_it_has_parameters_for(module):
    assert call(f"{module}:rich", width_multiplier=1.5) == {"classes": 10, "width": 1.5, "small": False}


def test_a_default_width_leaves_the_functions_own_default(module):
    assert call(f"{module}:rich") == {"classes": 10, "width": 0.5, "small": False}


def test_a_function_of_any_keywords_gets_all_settings(module):
    assert call(f"{module}:anything", width_multiplier=2.0, small_images=True) == {
        "classes": 10,
        "width_multiplier": 2.0,
        "small_images": True,
    }


def test_the_search_path_is_left_as_it_was(module):
    before = list(sys.path)
    call(f"{module}:plain")
    assert sys.path == before


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("no_such_package.net:build", r"Expected 'no_such_package\.net' to be an importable module\. Received: Module"),
        (":build", r"Expected '' to be an importable module\. Received: ValueError"),
        ("{module}:missing", r"Expected a function 'missing' in \w+\. Received: \w+:missing\."),
        ("{module}:number", r"Expected a function 'number' in \w+\. Received: \w+:number\."),
        ("{module}:deaf", r"Expected \w+:deaf to have a parameter classes\. Received: \(outputs\)\."),
        ("{module}:broken", r"Expected \w+:broken to build a model\. Received: KeyError: 'first line\\nsecond line'"),
    ],
)
def test_what_cannot_be_called_is_answered_in_one_line(module, reference, message):
    with pytest.raises(ValueError, match=message) as error:
        call(reference.format(module=module))
    assert "\n" not in str(error.value)


def test_a_width_that_a_function_cannot_take_is_refused(module):
    with pytest.raises(ValueError, match=r"width_multiplier=1 for \w+:plain.* Received: width_multiplier=1\.5\."):
        call(f"{module}:plain", width_multiplier=1.5)
