import sys

import pytest

from ofar_tf.models.user_code import call_function, module_name_of

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


def test_a_function_may_be_named_by_the_path_of_its_file_and_use_what_stands_beside(tmp_path, monkeypatch):
    folder = tmp_path / "some where"
    folder.mkdir()
    (folder / "beside_the_file.py").write_text("channels = 8\n")
    (folder / "net-v2.py").write_text(
        "from beside_the_file import channels\n\ndef build(classes):\n    return classes, channels\n"
    )
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert call("some where/net-v2.py:build") == call(f"{folder}/net-v2.py:build") == (10, 8)
    assert sys.path == before


def test_a_file_of_a_package_may_import_from_it(tmp_path):
    package = tmp_path / f"package_of_{tmp_path.name}".replace("-", "_")
    package.mkdir()
    (package / "__init__.py").write_text("from .net import build\n")
    (package / "blocks.py").write_text("channels = 8\n")
    (package / "net.py").write_text("from .blocks import channels\n\ndef build(classes):\n    return channels\n")
    assert call(f"{package}/net.py:build") == 8
    assert module_name_of(f"{package}/net.py:build") == f"{package.name}.net"
    assert call(f"{package}/__init__.py:build") == 8
    assert module_name_of(f"{package}/__init__.py:build") == package.name


def test_a_file_named_as_a_module_that_is_imported_already_is_not_taken_for_it(tmp_path):
    (tmp_path / "json.py").write_text("def build(classes):\n    return classes\n")
    with pytest.raises(ValueError, match=r"json is another module, .*__init__\.py; give the file another name"):
        call(f"{tmp_path}/json.py:build")


def test_the_search_path_is_left_as_it_was(module):
    before = list(sys.path)
    call(f"{module}:plain")
    assert sys.path == before


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("no_such_package.net:build", r"Expected 'no_such_package\.net' to be an importable module\. Received: Module"),
        (":build", r"Expected '' to be an importable module\. Received: ValueError"),
        ("absent.py:build", r"Expected 'absent\.py' .* Received: FileNotFoundError: there is no file absent\.py"),
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
