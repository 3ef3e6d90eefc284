"""What is shipped: the wheel holds the package alone, and works where the checkout is not."""

import ast
import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ofar_tf

SMALL_RUN = (
    "--dataset=fashion_mnist_mini",
    "--train_split=train[:64]",
    "--model=resnet8",
    "--pruning_rates=0,0.3",
    "--resolutions=20,16",
    "--epochs=2",
    "--search_epochs=1",
    "--batch_size=32",
    "--augmentation=none",
    "--validation_images=50",
    "--run_dir=run",
)


def elsewhere() -> dict[str, str]:
    """The environment of a process that is to know nothing of the checkout, which PYTHONPATH may name."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the checkout, where `build` leaves no traces."""
    source, target = tmp_path_factory.mktemp("copy") / "source", tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "runs")
    shutil.copytree(checkout, source, ignore=unwanted)
    # Without isolation, so that nothing is fetched: setuptools is among the tools of development.
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--sdist",
        "--no-isolation",
        "--outdir",
        str(target),
        str(source),
    ]
    built = subprocess.run(command, capture_output=True, text=True, env=elsewhere())
    assert built.returncode == 0, built.stdout + built.stderr
    return next(target.glob("ofar_tf-*-py3-none-any.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of a new environment with the wheel in it, and the dependencies of this one within reach."""
    root = tmp_path_factory.mktemp("environment")
    venv.create(root)
    python = root / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True, env=elsewhere())
    # These folders are searched last, and a path file in them (of the editable install) is not read.
    site_packages = next(root.glob("lib/python*/site-packages"))
    (site_packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python.parent


def run(*command: str | Path, folder: Path) -> str:
    """Runs a command away from the checkout and returns what it printed."""
    ended = subprocess.run(command, cwd=folder, env=elsewhere(), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_wheel_holds_the_package_alone(wheel: Path, checkout: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.split("/")[0] for name in names}
    metadata = next(folder for folder in folders if folder.endswith(".dist-info"))
    assert folders == {"ofar_tf", metadata}
    modules = {str(path.relative_to(checkout)) for path in (checkout / "ofar_tf").rglob("*.py")}
    data = {"ofar_tf/py.typed", "ofar_tf/data/fashion_mnist_mini.npz", "ofar_tf/data/imagenet_names.txt"}
    data |= {f"ofar_tf/data/{name}.LICENSE" for name in ("fashion_mnist_mini", "imagenet_names")}
    for folder in ("family/report/page", "shipping/play/templates"):
        data |= {str(path.relative_to(checkout)) for path in (checkout / "ofar_tf" / folder).iterdir()}
    data |= {"ofar_tf/family/manifest.schema.json"}
    assert {name for name in names if name.startswith("ofar_tf/")} == modules | data
    assert f"{metadata}/licenses/LICENSE" in names
    assert f"{metadata}/licenses/ofar_tf/data/fashion_mnist_mini.LICENSE" in names
    assert f"{metadata}/licenses/ofar_tf/data/imagenet_names.LICENSE" in names
    assert f"{metadata}/licenses/ofar_tf/family/report/page/chart.LICENSE" in names


def test_what_an_index_would_be_given_is_sound(wheel: Path) -> None:
    files = [wheel, *wheel.parent.glob("ofar_tf-*.tar.gz")]
    assert len(files) == 2
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, files)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_installed_package_is_the_one_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = "import importlib.metadata, ofar_tf; print(ofar_tf.__file__, importlib.metadata.version('ofar-tf'))"
    path, version = run(installed / "python", "-c", code, folder=tmp_path).split()
    assert Path(path).is_relative_to(installed.parent)
    assert version == ofar_tf.__version__


@pytest.mark.parametrize(
    ("script", "flag"),
    [
        ("ofar-train", "run_dir"),
        ("ofar-evaluate", "run_dir"),
        ("ofar-export", "run_dir"),
        ("ofar-select", "export_dir"),
        ("ofar-package", "export_dir"),
        ("ofar-run-matrix", "matrix_dir"),
    ],
)
def test_the_installed_scripts_show_their_flags(script: str, flag: str, installed: Path, tmp_path: Path) -> None:
    printed = run(installed / script, "--help", folder=tmp_path)
    assert f"  --{flag}: " in printed


def test_the_installed_door_lists_the_commands(installed: Path, tmp_path: Path) -> None:
    printed = run(installed / "ofar", folder=tmp_path)
    assert "  train " in printed and "  doctor " in printed


@pytest.mark.slow
def test_the_installed_script_trains(installed: Path, tmp_path: Path) -> None:
    printed = run(installed / "ofar-train", *SMALL_RUN, folder=tmp_path)
    assert printed.splitlines()[-1] == f"Next: {installed}/ofar evaluate --run_dir=run"
    assert {"config.json", "pool.json", "run.flagfile", "supernet.keras"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }


def test_every_import_is_a_declared_dependency(checkout: Path) -> None:
    distributions = importlib.metadata.packages_distributions()
    declared = {canonicalize_name(Requirement(text).name) for text in importlib.metadata.requires("ofar-tf") or ()}
    undeclared = {
        f"{path.name} imports {name}"
        for path in (checkout / "ofar_tf").rglob("*.py")
        for name in _top_level_imports(path) - {"ofar_tf"} - sys.stdlib_module_names
        if not declared & {canonicalize_name(each) for each in distributions.get(name, ())}
    }
    assert undeclared == set()


def _top_level_imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in plain | {str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)}}


def test_the_declared_versions_are_the_installed_ones() -> None:
    for requirement in map(Requirement, importlib.metadata.requires("ofar-tf") or ()):
        if requirement.marker is None:
            assert requirement.specifier.contains(importlib.metadata.version(requirement.name)), requirement
