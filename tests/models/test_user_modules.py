import hashlib
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import pytest

from ofar_tf.models.user_model import read_file
from ofar_tf.models.user_modules import UserModule, UserModules, user_modules_of

BASE = """
import keras


class Scaled(keras.layers.Layer):
    factor = 0.5

    def call(self, x):
        return x * self.factor
"""
NETS = """
import keras
from keras import layers
from PACKAGE.base import Scaled


@keras.saving.register_keras_serializable(package="PACKAGE")
class Half(Scaled):
    pass


@keras.saving.register_keras_serializable(package="PACKAGE")
def square(x):
    return x * x


def cube(x):
    return x * x * x


def build(kind):
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3)(image)
    if kind == "layer":
        x = Half()(x)
    elif kind == "function":
        x = layers.Activation(square)(x)
    elif kind == "unregistered":
        x = layers.Activation(cube)(Scaled()(x))
    elif kind == "lambda":
        x = layers.Lambda(lambda t: t * 0.5)(x)
    elif kind == "local":
        @keras.saving.register_keras_serializable(package="PACKAGE")
        class Hidden(keras.layers.Layer):
            def call(self, x):
                return x
        x = Hidden()(x)
    return keras.Model(image, layers.GlobalAveragePooling2D()(x))
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """A package of the user's, of a name of its own, in a folder that Python searches now but not later."""
    name = f"mine_{abs(hash(request.node.name))}"
    folder = tmp_path / "project" / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "base.py").write_text(BASE)
    (folder / "nets.py").write_text(NETS.replace("PACKAGE", name))
    before = list(sys.path)
    sys.path.insert(0, str(folder.parent))
    importlib.invalidate_caches()
    monkeypatch.delenv("OFAR_TF_USER_MODULES", raising=False)
    yield name
    sys.path[:] = before
    os.environ.pop("OFAR_TF_USER_MODULES", None)
    for loaded in [each for each in sys.modules if each.partition(".")[0] == name]:
        del sys.modules[loaded]


def build(package: str, kind: str) -> keras.Model:
    return importlib.import_module(f"{package}.nets").build(kind)


def names(modules: UserModules) -> list[str]:
    return [module.name for module in modules.modules]


def test_a_network_of_stock_layers_needs_no_module_whoever_built_it(package: str) -> None:
    assert user_modules_of(build(package, "stock"), f"{package}.nets:build") == UserModules()


@pytest.mark.parametrize("kind", ["layer", "function"])
def test_the_modules_of_layers_and_functions_are_remembered_with_those_of_their_bases(package: str, kind: str) -> None:
    found = user_modules_of(build(package, kind), "net.keras")
    expected = {"layer": [f"{package}.base", f"{package}.nets"], "function": [f"{package}.nets"]}
    assert names(found) == expected[kind]
    assert not found.lambdas
    assert all(Path(module.path).is_file() and len(module.sha256) == 64 for module in found.modules)


def test_a_lambda_needs_the_module_that_allowed_it(package: str) -> None:
    found = user_modules_of(build(package, "lambda"), f"{package}.nets:build")
    assert (names(found), found.lambdas) == ([f"{package}.nets"], True)
    with pytest.raises(ValueError, match=r"Expected the module that allowed Lambda layers. Received: none"):
        user_modules_of(build(package, "lambda"), "net.keras").load()


def test_the_module_that_allowed_a_lambda_may_be_named_by_its_file(package: str, tmp_path: Path) -> None:
    file = f"{tmp_path}/project/{package}/nets.py"
    assert names(user_modules_of(build(package, "lambda"), f"{file}:build")) == [f"{package}.nets"]


def test_a_class_that_no_file_could_name_is_refused(package: str) -> None:
    with pytest.raises(ValueError, match=r"at the top of their module.* Received: Hidden of mine_\d+\.nets\.$"):
        user_modules_of(build(package, "local"), "net.keras")


def test_a_layer_that_cannot_be_written_down_is_refused() -> None:
    class Silent(keras.layers.Layer):
        def get_config(self) -> dict[str, object]:
            raise RuntimeError("no\nconfig")

        def call(self, x: object) -> object:
            return x

    image = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match=r"^Expected layers that Keras can save.* Received: RuntimeError: no$"):
        user_modules_of(keras.Model(image, Silent()(image)), "net.keras")


# Reads a network as a process that was told nothing, then as it was started.
READER = """
import os, sys
from ofar_tf.models.user_model import read_file
announced = os.environ.pop("OFAR_TF_USER_MODULES")
try:
    read_file(sys.argv[1])
except ValueError as error:
    print(error)
os.environ["OFAR_TF_USER_MODULES"] = announced
print(type(read_file(sys.argv[1]).layers[2]).__name__)
"""


@pytest.mark.parametrize(("kind", "layer"), [("layer", "Half"), ("unregistered", "Scaled")])
def test_a_process_that_was_started_after_loading_reads_the_network_from_any_folder(
    package: str, tmp_path: Path, kind: str, layer: str
) -> None:
    model = build(package, kind)
    model.save(tmp_path / "a.keras")
    user_modules_of(model, "net.keras").load()
    (tmp_path / "elsewhere").mkdir()
    reading = [sys.executable, "-c", READER, str(tmp_path / "a.keras")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(reading, cwd=tmp_path / "elsewhere", env=environment, capture_output=True, text=True)
    *untold, told = ended.stdout.splitlines() or [""]
    assert told == layer, ended.stderr
    assert untold[0].startswith("Expected a .keras file that Keras can read; where classes or functions of yours are")


def forget(package: str) -> None:
    for loaded in [each for each in sys.modules if each.partition(".")[0] == package]:
        del sys.modules[loaded]
    sys.path.pop(0)
    importlib.invalidate_caches()


def test_a_module_is_imported_from_where_it_was(package: str, tmp_path: Path) -> None:
    model = build(package, "layer")
    model.save(tmp_path / "a.keras")
    modules = user_modules_of(model, "net.keras")
    forget(package)
    modules.load()
    assert type(read_file(str(tmp_path / "a.keras")).layers[2]).__name__ == "Half"


def test_a_module_that_has_moved_is_found_where_python_finds_it(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = user_modules_of(build(package, "layer"), "net.keras")
    forget(package)
    (tmp_path / "project").rename(tmp_path / "moved")
    with pytest.raises(ValueError, match=rf"^Expected the module {package}\.base .* Received: ModuleNotFoundError: "):
        modules.load()
    monkeypatch.chdir(tmp_path / "moved")
    modules.load()
    assert f"{package}.nets" in sys.modules


def test_a_module_that_has_changed_is_refused_in_one_line(package: str) -> None:
    modules = user_modules_of(build(package, "layer"), "net.keras")
    path = Path(modules.modules[0].path)
    path.write_text(path.read_text().replace("0.5", "0.25"))
    for load in range(2):
        with pytest.raises(ValueError, match=rf"^Expected the module {package}\.base .* Received: .*") as caught:
            modules.load()
        assert "\n" not in str(caught.value)
        if not load:
            for loaded in [each for each in sys.modules if each.partition(".")[0] == package]:
                del sys.modules[loaded]


def test_a_module_that_ends_the_program_is_named(package: str, tmp_path: Path) -> None:
    path = tmp_path / "project" / package / "ends.py"
    path.write_text("import sys\nsys.exit()\n")
    module = UserModule(f"{package}.ends", str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ValueError, match=r"Received: SystemExit$"):
        module.load()
