"""The whole command on a small network, with files and times that are made up."""

import json
import shutil

import keras
import pytest

from ofar_tf import measure_device
from ofar_tf.pruning.latency_predictor import read_predictor
from ofar_tf.run.device import measured_device, timed_structures
from ofar_tf.run.device.device_config import DeviceConfig
from ofar_tf.tflite.latency import Latency

layers = keras.layers
SETTINGS = {
    "resolutions": (16, 8),
    "classes": 2,
    "structures": 12,
    "min_channels": 1,
    "channel_round_to": 1,
    "precision": "float32",
    "workers": 2,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    x = image = keras.Input((None, None, 3))
    for filters in (8, 12):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x)))
    path = tmp_path_factory.mktemp("model") / "small.keras"
    keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)), name="small").save(path)
    return str(path)


@pytest.fixture(scope="module", autouse=True)
def instant_conversion():
    """Writes the size of each network in the place of its file; conversion is tested elsewhere."""

    def convert(networks, folder, *, precision, workers, on_done):
        assert (precision, workers) == ("float32", 2)
        paths = []
        for index, network in enumerate(networks):
            paths.append(folder / f"{index}.tflite")
            paths[-1].write_text(f"{index} {network.count_params()} {network.input_shape}")
        return paths

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timed_structures, "convert_throwaways", convert)
        yield


@pytest.fixture(scope="module")
def phone_dir(model, tmp_path_factory, instant_conversion):
    folder = tmp_path_factory.mktemp("phone") / "my phone"
    measure_device.main(DeviceConfig(model=model, phone_dir=str(folder), **SETTINGS))
    return folder


def milliseconds(work):
    return 0.1 + 1e-6 * work["convolution.macs"]


def write_table(folder, *, threads=2, device="Pixel 8", leave_out=0):
    files = json.loads((folder / "structures.json").read_text())["files"]
    rows = [f"{f['path']},{f['sha256']},{device},{threads},{milliseconds(f['work'])}" for f in files[leave_out:]]
    (folder / "phone.csv").write_text("\n".join(["file,sha256,device,threads,median_ms", *rows]) + "\n")


def test_a_phone_folder_has_what_its_script_times_and_the_commands(model, tmp_path, capsys):
    folder = tmp_path / "phone"
    config = DeviceConfig(model=model, phone_dir=str(folder), threads=4, **SETTINGS)
    measure_device.main(config)
    printed = capsys.readouterr().out.splitlines()
    assert f"sh {folder}/benchmark_on_phone.sh benchmark_model 4 > {folder}/phone.csv" in printed
    assert printed[-1] == f"ofar measure_device --read={folder} --output=device.json"
    script = (folder / "benchmark_on_phone.sh").read_text()
    stored = json.loads((folder / "structures.json").read_text())
    assert len(stored["files"]) == 12
    assert all(f"{file['sha256']} {file['path']}\n" in script for file in stored["files"])
    names = {file["path"] for file in stored["files"]} | {"structures.json", "benchmark_on_phone.sh"}
    assert {path.name for path in folder.iterdir()} == names
    with pytest.raises(SystemExit) as caught:
        measure_device.main(config)
    assert caught.value.code == 2
    assert "Expected an empty or new --phone_dir." in capsys.readouterr().err


def test_what_the_phone_measured_is_read_back(phone_dir, model, tmp_path, capsys):
    write_table(phone_dir)
    output = tmp_path / "device.json"
    measure_device.main(DeviceConfig(read=str(phone_dir), output=str(output)))
    printed = capsys.readouterr().out
    assert "Pixel 8, 2 threads, float32: " in printed
    timed = f"--model={model} --resolutions=16,8 --min_channels=1 --channel_round_to=1"
    assert f"Next: ofar train {timed} --budget_unit=ms --device={output} --budgets=" in printed
    predictor = read_predictor(output)
    works = [file["work"] for file in json.loads((phone_dir / "structures.json").read_text())["files"]]
    assert [predictor.milliseconds(work) for work in works] == pytest.approx([milliseconds(work) for work in works])
    assert (predictor.device, predictor.threads, predictor.network) == ("Pixel 8", 2, "small")
    assert predictor.error.p90 < 1e-6 and predictor.resolutions == ("16", "8")


def test_a_folder_that_does_not_say_its_network_is_read_too(phone_dir, tmp_path, capsys):
    folder = tmp_path / "older"
    shutil.copytree(phone_dir, folder)
    write_table(folder)
    stored = json.loads((folder / "structures.json").read_text())
    for flags, named in (((), "--model=..."), (("--model=a\x1b b",), r"'--model=a\x1b b'")):
        (folder / "structures.json").write_text(json.dumps({**stored, "flags": flags}))
        output = tmp_path / f"{len(flags)}.json"
        measure_device.main(DeviceConfig(read=str(folder), output=str(output)))
        assert f"ofar train {named} --budget_unit=ms" in capsys.readouterr().out


def test_of_times_with_several_numbers_of_threads_those_that_are_asked_for_count(phone_dir):
    write_table(phone_dir)
    with (phone_dir / "phone.csv").open("a") as table:
        table.write("0.tflite,,Pixel 8,4,99\n")
    assert measured_device.read_phone_folder(phone_dir, threads=2).threads == 2
    with pytest.raises(ValueError, match=r"Expected times of at least 10 structures, each once, on one device."):
        measured_device.read_phone_folder(phone_dir, threads=4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"leave_out": 3}, "Received: 9 times on Pixel 8 with 2 threads."),
        ({"device": "\x07"}, "Expected a measurement in line 2"),
    ],
)
def test_tables_that_are_of_no_use_are_refused(phone_dir, changes, message):
    write_table(phone_dir, **changes)
    with pytest.raises(ValueError, match=message):
        measured_device.read_phone_folder(phone_dir, threads=2)


def test_times_of_other_files_are_refused(phone_dir):
    (phone_dir / "phone.csv").write_text("file,device,threads,median_ms\nother.tflite,Pixel 8,1,2\n")
    with pytest.raises(ValueError, match=r"Expected one of the 12 structures in line 2 of .*: file=other.tflite."):
        measured_device.read_phone_folder(phone_dir, threads=1)


def test_a_folder_that_was_not_written_for_it_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Expected a folder that --phone_dir wrote."):
        measured_device.read_phone_folder(tmp_path, threads=1)


def test_structures_are_timed_here_and_files_that_fail_are_left_out(model, tmp_path, monkeypatch, capsys):
    def times(files, *, threads, rounds):
        assert all(file.is_file() for file in files) and (threads, rounds) == (1, 5)
        # Rounds that were disturbed do not count: the least median does.
        good = [Latency("laptop", 1, 2.0 + i, spread_ms=(1.0 + i, 9.0 + i)) for i in range(len(files) - 1)]
        return [*good, RuntimeError("it does not run")]

    monkeypatch.setattr(measured_device, "measure_latencies", times)
    output = tmp_path / "device.json"
    config = DeviceConfig(model=model, output=str(output), **SETTINGS)
    measure_device.main(config)
    predictor = read_predictor(output)
    assert (predictor.device, predictor.measured_ms, predictor.error.structures) == ("laptop", (1.0, 11.0), 11)
    assert "Timing 12 files in 5 rounds" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        measure_device.main(config)
    assert f"Expected a new --output. Received: {output}, which exists." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "Expected --output, the file to write, or --phone_dir. Received: none."),
        ({"phone_dir": "p", "read": "p"}, "Expected --phone_dir alone, then --read of that folder with --output."),
        ({"output": "d", "resolutions": (8, 8)}, "Expected different --resolutions, at least one. Received: 8, 8."),
        ({"output": "d", "precision": "qat"}, "Expected --precision to be one of float32, "),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        DeviceConfig(**values)
