import hashlib
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from ofar_tf.family.manifest import Manifest, write_manifest
from ofar_tf.shipping.package_config import PackageConfig
from ofar_tf.shipping.play.device_tier import parse_tiers
from ofar_tf.shipping.play.owned_folder import RECORD
from ofar_tf.shipping.play.play_package import write_package
from ofar_tf.shipping.play.tier_table import print_tiers

TIERS = parse_tiers(
    ["high:min_ram=6G:max_macs=400:budget_ms=33", "mid:soc=QTI/SM8650:max_macs=200:budget_ms=10", "low:max_macs=100"]
)
ASSETS = "ofar_models/src/main/assets/ofar_models#group_"
KOTLIN_TESTS = Path(__file__).parent / "kotlin"


@pytest.fixture(scope="module")
def export(make_entry, header, tmp_path_factory):
    """A small export whose files hold their own names."""
    folder = tmp_path_factory.mktemp("export")
    entries = []
    for name, macs, top1, reasons in (
        ("broken", 400, 0.99, ("Its scores are not finite.",)),
        ("large", 400, 0.90, ()),
        ("middle", 200, 0.85, ()),
        ("small", 100, 0.70, ()),
    ):
        content = f"{name} as int8".encode()
        path = folder / name / f"{name}_int8.tflite"
        path.parent.mkdir()
        path.write_bytes(content)
        size = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "quantization": "int8"}
        entries.append(make_entry(name, macs=macs, top1=top1, reasons=reasons, **size))
    write_manifest(folder / "manifest.json", Manifest(**vars(header), models=tuple(entries)))
    (folder / "labels.txt").write_text("cat\ndog\nüber\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def package(export, tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    write_package(export, folder, tiers=TIERS)
    return folder


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_layout_is_that_of_an_ai_pack(package):
    assert sorted(files(package)) == [
        "README.md",
        "app/device_targeting_config.xml",
        "app/src/main/kotlin/ofar/AndroidModelPicker.kt",
        "app/src/main/kotlin/ofar/ModelPicker.kt",
        "ofar_models/build.gradle.kts",
        f"{ASSETS}high/large_int8.tflite",
        f"{ASSETS}high/middle_int8.tflite",
        f"{ASSETS}high/tier.json",
        f"{ASSETS}mid/middle_int8.tflite",
        f"{ASSETS}mid/small_int8.tflite",
        f"{ASSETS}mid/tier.json",
        f"{ASSETS}other/small_int8.tflite",
        f"{ASSETS}other/tier.json",
        RECORD,
    ]


def test_files_are_copies_and_the_export_is_left_as_it_was(export, package):
    assert (package / f"{ASSETS}high" / "large_int8.tflite").read_bytes() == b"large as int8"
    assert len(list(export.rglob("*.tflite"))) == 4


def test_names_of_assets_are_valid_for_android(package):
    for path in (package / "ofar_models" / "src" / "main" / "assets").rglob("*"):
        pattern = r"[a-z][a-z0-9_]*#group_[a-z][a-z0-9_]*" if path.is_dir() else r"[a-z0-9_]+\.(tflite|json)"
        assert re.fullmatch(pattern, path.name), path


def test_the_app_is_told_its_files_in_order(package):
    tier = json.loads((package / f"{ASSETS}mid" / "tier.json").read_text(encoding="utf-8"))
    models = tier.pop("models")
    assert tier == {"schema_version": 1, "tier": "mid", "budget_ms": 10.0, "labels": ["cat", "dog", "über"]}
    assert [model["file"] for model in models] == ["middle_int8.tflite", "small_int8.tflite"]
    first = models[0]
    assert first["sha256"] == hashlib.sha256(b"middle as int8").hexdigest()
    assert (first["bytes"], first["resolution"], first["precision"], first["macs"]) == (14, 16, "int8", 200)
    assert (first["input"]["dtype"], first["output"]["name"], first["top1"]) == ("float32", "probabilities", 0.85)


def test_gradle_names_the_pack_its_delivery_and_each_group(export, tmp_path):
    write_package(export, tmp_path, tiers=TIERS, pack_name="vision", delivery="on-demand")
    gradle = (tmp_path / "vision" / "build.gradle.kts").read_text()
    assert 'packName.set("vision")' in gradle and 'deliveryType.set("on-demand")' in gradle
    assert "high, mid, other" in gradle
    assert {path.name for path in (tmp_path / "vision/src/main/assets").iterdir()} == {
        "vision#group_high",
        "vision#group_mid",
        "vision#group_other",
    }
    assert '"vision/$name"' in (tmp_path / "app/src/main/kotlin/ofar/AndroidModelPicker.kt").read_text()
    assert "add Play's AI Delivery Library" in (tmp_path / "README.md").read_text()


def test_the_readme_lists_the_files_and_says_what_was_not_run(package):
    readme = (package / "README.md").read_text()
    assert "| high | RAM >= 6G | `large_int8.tflite` | 90.00 % | 400 | 13 | 33 ms |" in readme
    assert "|  | or, if slow | `middle_int8.tflite` | 85.00 % | 200 | 14 |  |" in readme
    assert "| other | every other | `small_int8.tflite` | 70.00 % | 100 | 13 | never |" in readme
    assert "## What was not run" in readme and "{{" not in readme and "{%" not in readme


def test_the_same_command_twice_changes_nothing(export, package):
    before = files(package)
    write_package(export, package, tiers=TIERS)
    assert files(package) == before


def test_another_choice_leaves_no_file_of_the_first(export, tmp_path):
    write_package(export, tmp_path, tiers=TIERS)
    write_package(export, tmp_path, tiers=(TIERS[0], TIERS[2]), steps_down=0)
    assert sorted(path.name for path in (tmp_path / "ofar_models/src/main/assets").rglob("*.tflite")) == [
        "large_int8.tflite",
        "small_int8.tflite",
    ]


def test_a_file_that_is_not_the_manifests_is_refused(export, tmp_path):
    source = shutil.copytree(export, tmp_path / "export")
    (source / "small" / "small_int8.tflite").write_bytes(b"another")
    with pytest.raises(ValueError, match=r"Expected .*small_int8.tflite with SHA-256 .*, as in the manifest. Received"):
        write_package(source, tmp_path / "out", tiers=TIERS)
    (source / "small" / "small_int8.tflite").unlink()
    with pytest.raises(FileNotFoundError, match=r"Received: no small/small_int8.tflite"):
        write_package(source, tmp_path / "out", tiers=TIERS)
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_no_module_is_refused(export, tmp_path):
    with pytest.raises(ValueError, match=r"Expected a pack's name of lower case .* Received: 'my-models'"):
        write_package(export, tmp_path / "out", tiers=TIERS, pack_name="my-models")


def test_the_table_shows_every_file(export, tmp_path):
    console = Console(file=io.StringIO(), width=120)
    print_tiers(write_package(export, tmp_path, tiers=TIERS), console=console)
    printed = console.file.getvalue()
    assert [printed.count(f"{name}_int8.tflite") for name in ("large", "middle", "small")] == [1, 2, 2]
    assert "QTI/SM8650" in printed and "none" in printed


@pytest.mark.parametrize("missing", ["export_dir", "package_dir", "tiers"])
def test_the_command_needs_its_folders_and_tiers(missing, parse_command):
    given = {"export_dir": "e", "package_dir": "p", "tiers": "a:min_ram=6G:max_macs=1M,b:max_macs=1M"}
    config = parse_command(PackageConfig, *(f"--{name}={value}" for name, value in given.items()))
    assert config.tiers == ("a:min_ram=6G:max_macs=1M", "b:max_macs=1M")
    with pytest.raises(ValueError, match=f"Expected --{missing}: --help shows an example. Received: none."):
        parse_command(PackageConfig, *(f"--{name}={value}" for name, value in given.items() if name != missing))


def test_the_command_ends_with_one_line_where_the_user_errs(export, tmp_path, capsys, monkeypatch):
    from ofar_tf import package as command

    (tmp_path / "mine").write_text("")
    config = PackageConfig(str(export), str(tmp_path), ("a:min_ram=6G:max_macs=400", "b:max_macs=100"))
    with pytest.raises(SystemExit) as ended:
        command.main(config)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("Error: Expected a new or empty folder")
    assert printed.err.count("\n") == 1


def kotlin_library() -> Path:
    """The folder of the Kotlin compiler's jars, and beside them Android's org.json for the JVM."""
    home, json_jar = os.environ.get("KOTLIN_HOME"), os.environ.get("ORG_JSON_JAR")
    if not (home and json_jar and shutil.which("java")):
        pytest.skip(
            "needs java, KOTLIN_HOME (npm install kotlin-compiler: node_modules/kotlin-compiler) and ORG_JSON_JAR "
            "(Debian's libandroid-json-java: /usr/share/java/com.android.json.jar)"
        )
    return Path(home) / "lib"


def test_the_model_picker_compiles_and_passes_its_own_tests(package, tmp_path):
    library = kotlin_library()
    call = (package / "README.md").read_text().rsplit("```kotlin\n", 1)[1].split("```")[0]
    head = "import android.content.Context\nimport java.nio.ByteBuffer\nimport java.nio.ByteOrder\n"
    (tmp_path / "Call.kt").write_text(f"{head}fun call(context: Context, pixels: IntArray) {{\n{call}}}\n")
    sources = [package / "app/src/main/kotlin/ofar", KOTLIN_TESTS / "ModelPickerTest.kt", KOTLIN_TESTS / "stubs"]
    sources += [tmp_path / "Call.kt"]
    classpath = f"{library}/kotlin-stdlib.jar:{os.environ['ORG_JSON_JAR']}"
    compiler = ["java", "-cp", f"{library}/*", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"]
    options = ["-no-stdlib", "-no-reflect", "-Werror", "-cp", classpath, "-d", str(tmp_path)]
    compiled = subprocess.run([*compiler, *options, *map(str, sources)], capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stderr
    tests = ["java", "-cp", f"{tmp_path}:{classpath}", "ModelPickerTestKt"]
    ran = subprocess.run(tests, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("passed: ") == 14
    # Java writes in the encoding of the locale.
    utf8 = {**os.environ, "LC_ALL": "C.UTF-8"}
    command = [*tests, str(package / f"{ASSETS}other" / "tier.json")]
    read = subprocess.run(command, env=utf8, capture_output=True, encoding="utf-8", check=True)
    sha256 = hashlib.sha256(b"small as int8").hexdigest()
    assert read.stdout == (
        "low null [cat, dog, über] [ModelFile(file=small_int8.tflite, "
        f"sha256={sha256}, bytes=13, height=16, width=16, precision=int8, macs=100)]\n"
    )
