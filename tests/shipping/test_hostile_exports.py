"""`select` and `package` on export folders that others have changed: one line and status 2, or the right answer."""

import json
import os
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ofar_tf import package, select
from ofar_tf.family.manifest import Latency, Manifest, write_manifest
from ofar_tf.shipping.package_config import PackageConfig
from ofar_tf.shipping.select_config import SelectConfig
from tests.json_places import places, put

SHARED = Path(__file__).parents[3] / "shared" / "cases" / "hostile"
# Values that no field of a manifest has, each an accident or a malice of another kind.
HOSTILE = (
    *(None, True, -1, 0, 0.5, 2**63, 10**80, -(10**400), 10**5000, 1e308, float("nan"), float("inf"), float("-inf")),
    *("", " ", "x" * 5000, "NaN", "../../../etc/passwd", "/etc/passwd", "a\nb", "a\0b", "\u2028", "\ud800", "\x1b[2J"),
    *("<script>alert(1)</script>", "f4,f4", "O", "(2,3)f4", [], {}, [[[]]], [None], {"a": 1}, {"": {"": [1e999]}}),
)


@pytest.fixture(scope="module")
def export(make_entry, header, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    entries = []
    for name, macs, top1 in (("large", 400, 0.90), ("small", 100, 0.70)):
        content = f"{name} as int8".encode()
        (folder / name).mkdir()
        (folder / name / f"{name}_int8.tflite").write_bytes(content)
        size = {"bytes": len(content), "sha256": sha256(content).hexdigest(), "quantization": "int8"}
        latency = (Latency("phone", 4, 8.0, 9.0),)
        entries.append(make_entry(name, macs=macs, top1=top1, latency=latency, arena_bytes=5, gpu_refused={}, **size))
    write_manifest(folder / "manifest.json", Manifest(**vars(header), models=tuple(entries)))
    (folder / "labels.txt").write_text("cat\ndog\neel\n")
    return folder


@pytest.fixture
def manifest_path(export):
    """The manifest, put back as it was afterwards."""
    path = export / "manifest.json"
    text = path.read_text()
    yield path
    path.unlink()
    path.write_text(text)


def run(command, folder, capsys, tmp_path):
    """Runs a command in this process; returns its status and what it printed. A traceback is an error of the test."""
    try:
        if command == "select":
            select.main(SelectConfig(export_dir=str(folder)))
        else:
            tiers = ("high:min_ram=6G:max_macs=400", "low:max_macs=400")
            package.main(PackageConfig(export_dir=str(folder), package_dir=str(tmp_path / "out"), tiers=tiers))
        status = 0
    except SystemExit as end:
        status = end.code
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def is_refused(answer):
    status, out, err = answer
    # `splitlines` also counts what a terminal or an editor takes for the end of a line.
    return status == 2 and out == "" and err.startswith("Error: Expected ") and len(err.splitlines()) == 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_anywhere_is_answered_in_one_line_or_rightly(data, export, manifest_path, capsys, tmp_path):
    sound = json.loads(manifest_path.read_text())
    place = data.draw(st.sampled_from(list(places(sound))))
    value = data.draw(st.sampled_from(HOSTILE))
    text = manifest_path.read_text()
    try:
        manifest_path.write_text(dumps(put(sound, place, value)))
        answer = run("select", export, capsys, tmp_path)
        shipped = {f"{export}/{name}/{name}_int8.tflite\n" for name in ("large", "small")}
        assert is_refused(answer) or (answer[0] == 0 and answer[1] in shipped), (place, value, answer)
    finally:
        manifest_path.write_text(text)


def dumps(data):
    """JSON, with the digits of numbers that Python would not write in one piece."""
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(data)
    finally:
        sys.set_int_max_str_digits(4300)


def test_shared_manifests_are_refused_in_one_line(manifest_path, export, capsys, tmp_path):
    if not SHARED.is_dir():
        pytest.skip(f"no {SHARED}")
    for path in sorted(SHARED.glob("manifest_*.json")):
        manifest_path.write_bytes(path.read_bytes())
        for command in ("select", "package"):
            assert is_refused(run(command, export, capsys, tmp_path)), path
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content",
    [
        "[" * 5000 + "]" * 5000,
        '{"a":' * 900 + "1" + "}" * 900,
        "",
        "{",
        "null",
        '{"schema_version": 1}',
        '{"schema_version": true}',
        '{"schema_version": ' + "9" * 5000 + "}",
        '{"schema_version": 1, "schema_version": 1}',
        '"\\ud800"',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
    ],
    ids=range(12),
)
@pytest.mark.parametrize("command", ["select", "package"])
def test_what_is_no_manifest_is_refused_in_one_line(command, content, manifest_path, export, capsys, tmp_path):
    manifest_path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert is_refused(run(command, export, capsys, tmp_path))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"top1": 0.9,', '"top1": NaN,'),
        ('"top1": 0.9,', '"top1": 1e999,'),
        ('"median_ms": 8.0,', '"median_ms": Infinity,'),
        ('"eval_split": "test"', '"eval_split": -Infinity'),
        ('"macs": 400,', '"macs": 1' + "0" * 6000 + ","),
        ('"macs": 400,', '"macs": 400, "macs": 1,'),
        ('"seed": 7', '"seed": 1e3'),
    ],
)
def test_numbers_that_json_has_not_or_twice_are_refused(old, new, manifest_path, export, capsys, tmp_path):
    text = manifest_path.read_text()
    assert old in text
    manifest_path.write_text(text.replace(old, new))
    assert is_refused(run("select", export, capsys, tmp_path))


PATHS = (
    *("../../../etc/passwd", "/etc/passwd", "../export/large/large_int8.tflite", "large/../large/large_int8.tflite"),
    *(
        "./large/large_int8.tflite",
        "large//large_int8.tflite",
        "large/",
        "",
        ".",
        "C:/x",
        "C:x",
        "large\\large",
        "a\0b",
    ),
    *("large/\n", "large", "nothing", "x" * 300, "y/" * 3000 + "y", "é" * 200, "small/SMALL_int8.tflite"),
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("command", ["select", "package"])
def test_paths_that_leave_the_folder_or_name_no_file_are_refused(
    command, path, manifest_path, export, capsys, tmp_path
):
    data = json.loads(manifest_path.read_text())
    # The file itself is what the manifest says: only its place is wrong.
    if path == "/etc/passwd":
        content = Path(path).read_bytes()
        data["models"][0] |= {"bytes": len(content), "sha256": sha256(content).hexdigest()}
    data["models"][0]["path"] = path
    manifest_path.write_text(json.dumps(data))
    answer = run(command, export, capsys, tmp_path)
    assert is_refused(answer) and len(answer[2]) < 500


@pytest.mark.parametrize("labels", ["../labels.txt", "/etc/passwd", "nothing.txt", "small/small_int8.tflite", "small"])
def test_package_takes_labels_from_the_folder_only(labels, manifest_path, export, capsys, tmp_path):
    data = json.loads(manifest_path.read_text())
    for model in data["models"]:
        model["labels"] = labels
    manifest_path.write_text(json.dumps(data))
    assert is_refused(run("package", export, capsys, tmp_path))
    assert not (tmp_path / "out").exists()


def outside(path, tmp_path):
    elsewhere = tmp_path / "elsewhere.tflite"
    elsewhere.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(elsewhere)


def round_and_round(path, tmp_path):
    path.unlink()
    path.symlink_to(path)


def fifo(path, tmp_path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = {
    "deleted": lambda path, tmp_path: path.unlink(),
    "changed": lambda path, tmp_path: path.write_bytes(path.read_bytes()[::-1]),
    "longer": lambda path, tmp_path: path.write_bytes(path.read_bytes() + b"x"),
    "empty": lambda path, tmp_path: path.write_bytes(b""),
    "a link that leaves the folder": outside,
    "a link to itself": round_and_round,
    "a pipe": fifo,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", ["select", "package"])
def test_files_that_are_not_those_of_the_manifest_are_refused(command, damage, export, capsys, tmp_path):
    path = export / "large" / "large_int8.tflite"
    content = path.read_bytes()
    try:
        DAMAGES[damage](path, tmp_path)
        assert is_refused(run(command, export, capsys, tmp_path))
        assert not (tmp_path / "out").exists()
    finally:
        path.unlink(missing_ok=True)
        path.write_bytes(content)


def test_a_link_within_the_folder_is_followed_and_a_sound_folder_is_answered(export, capsys, tmp_path):
    path = export / "large" / "large_int8.tflite"
    content = path.read_bytes()
    try:
        path.rename(export / "large" / "real.tflite")
        path.symlink_to("real.tflite")
        for command in ("select", "package"):
            assert run(command, export, capsys, tmp_path)[0] == 0
    finally:
        path.unlink()
        (export / "large" / "real.tflite").unlink()
        path.write_bytes(content)


@pytest.mark.parametrize(
    "record",
    [
        '{"files": {"../mine": "DIGEST"}}',
        '{"files": {"/etc/passwd": "DIGEST"}}',
        '{"files": {"a/../../mine": "DIGEST"}}',
        '{"files": {"": "DIGEST"}}',
        '{"files": {"a": 1}}',
        '{"files": []}',
        '{"files": {}, "more": 1}',
        "[" * 5000,
    ],
    ids=range(8),
)
def test_a_package_folder_whose_record_names_files_elsewhere_removes_nothing(record, export, capsys, tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ofar_package.json").write_text(record.replace("DIGEST", sha256(b"mine").hexdigest()))
    status, out, err = run("package", export, capsys, tmp_path)
    assert (status, out) == (2, "") and err.startswith("Error: Expected our record in ") and err.count("\n") == 1
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("command", ["select", "package"])
def test_of_the_folder_of_a_run_it_is_said_where_its_export_lies(export, capsys, tmp_path, command):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "export").symlink_to(export)
    answer = run(command, tmp_path / "run", capsys, tmp_path)
    assert is_refused(answer)
    assert (
        answer[2] == f"Error: Expected the folder of an export, {tmp_path}/run/export here. Received: {tmp_path}/run.\n"
    )
