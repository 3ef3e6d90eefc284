import os
import re
import subprocess

import pytest

from ofar_tf.family.manifest import Manifest
from ofar_tf.family.phone_benchmark import phone_commands, write_phone_benchmark
from ofar_tf.family.phone_latency import measured_files, read_phone_latencies
from ofar_tf.tflite.latency import Latency


@pytest.fixture
def manifest(make_entry, header):
    return Manifest(
        **vars(header),
        models=(
            make_entry("large", macs=300, top1=0.9, sha256="a" * 64, latency=(Latency("laptop", 1, 2.0),)),
            make_entry("large", macs=300, top1=0.9, sha256="b" * 64, quantization="int8"),
            make_entry("small", macs=100, top1=0.8, sha256="c" * 64),
        ),
    )


@pytest.fixture
def read(tmp_path):
    def rows(text):
        (tmp_path / "phone.csv").write_text(text)
        return read_phone_latencies(tmp_path / "phone.csv")

    return rows


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ("file", "large/large_int8.tflite"),
        ("file", "large_int8.tflite"),
        ("sha256", "b" * 64),
        ("id,quantization", "large,int8"),
        ("file,sha256", f"large_int8.tflite,{'b' * 64}"),
    ],
)
def test_a_row_finds_its_file_by_whatever_names_it(manifest, read, columns, name):
    rows = read(f"{columns},device,threads,median_ms,p90_ms\n{name},Pixel 8,4,3.5,4\n")
    assert measured_files(manifest, rows) == [manifest.models[1]]
    assert [row.latency for row in rows] == [Latency("Pixel 8", 4, 3.5, 4.0)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_table_is_read_as_spreadsheets_and_other_shells_write_it(tmp_path, encoding):
    table = 'file,device,threads,median_ms\r\na.tflite,"T\u00e9l\u00e9phone 8",4,3.5\r\n'
    (tmp_path / "phone.csv").write_text(table, encoding=encoding, newline="")
    (row,) = read_phone_latencies(tmp_path / "phone.csv")
    assert (row.names, row.latency) == ({"file": "a.tflite"}, Latency("T\u00e9l\u00e9phone 8", 4, 3.5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expected the columns device, threads, median_ms and file, sha256, or id and quantization,"),
        ("file,device,threads\n", "Expected the columns device, threads, median_ms and file"),
        ("id,device,threads,median_ms\n", "Expected the columns device, threads, median_ms and file"),
        ("file,device,threads,median_ms,mean\n", "Received: file, device, threads, median_ms, mean."),
        ("file,device,threads,median_ms\na,phone,1\n", "Expected a file, a device, threads and median_ms in line 2"),
        ("file,device,threads,median_ms\na,phone,1,2,3\n", "Expected a file, a device, threads and median_ms in line"),
        ("file,device,threads,median_ms\na,phone,1.5,2\n", "Expected a measurement in line 2 of FILE. Received: inval"),
        ("file,device,threads,median_ms\na,phone,1,-2\n", "Expected a measurement in line 2 of FILE. Received: Expec"),
        ("file,device,threads,median_ms\na,phone,1,nan\n", "Expected a measurement in line 2 of FILE. Received: Exp"),
        ('file,device,threads,median_ms\n"a,phone,1,2\n', "Expected a table in FILE. Received: unexpected end of data"),
        ('file,device,"threads,median_ms\n', "Expected a table in FILE. Received: unexpected end of data in line 1."),
    ],
)
def test_what_is_no_table_of_measurements_is_refused_in_one_line(read, tmp_path, text, message):
    with pytest.raises(ValueError, match=re.escape(message.replace("FILE", str(tmp_path / "phone.csv")))) as refusal:
        read(text)
    assert "\n" not in str(refusal.value)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Expected a table of measurements. Received: .*phone.csv, which does"):
        read_phone_latencies(tmp_path / "phone.csv")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "tiny.tflite,phone,1,2\n",
            "Expected one of the 3 files of the export in line 2 of .*: file=tiny.tflite, which",
        ),
        (
            "small_float32.tflite,phone,1,2\nsmall/small_float32.tflite,phone,1,3\n",
            "Expected each file once for a device and its threads. Received: small/small_float32.tflite on phone in "
            "line 2 of .* and in line 3 of",
        ),
    ],
)
def test_measurements_of_unknown_files_or_twice_of_one_are_refused(manifest, read, rows, message):
    with pytest.raises(ValueError, match=message):
        measured_files(manifest, read(f"file,device,threads,median_ms\n{rows}"))


def test_a_file_that_was_written_anew_is_not_the_one_that_was_measured(manifest, read):
    rows = read(f"file,sha256,device,threads,median_ms\nsmall_float32.tflite,{'d' * 64},phone,1,2\n")
    with pytest.raises(ValueError, match="which fits 0 of them"):
        measured_files(manifest, rows)


FAKE_ADB = """#!/bin/sh
echo "$*" >> "$ADB_LOG"
case "$*" in
  *getprop*manufacturer*) printf 'Google\\r\\n';;
  *getprop*model*) printf 'Pixel, 8\\r\\n';;
  *--graph=*)
    printf 'INFO: count=10 first=900 curr=880 min=850 max=900 avg=870 std=9 p5=851 median=999 p95=899\\r\\n'
    printf 'INFO: count=50 first=800 curr=790 min=700 max=950 avg=790.5 std=9 p5=701 median=812 p95=903\\r\\n'
    printf 'INFO: Inference timings in us: Init: 5, First inference: 900, Inference (avg): 790.5\\r\\n';;
esac
"""


def test_the_script_measures_every_file_on_the_phone_and_writes_what_is_read(manifest, read, tmp_path):
    # adb is not here: this stands in for it, with the lines that LiteRT's benchmark prints.
    tools, folder = tmp_path / "tools", tmp_path / "my export"
    for path in (tools, folder):
        path.mkdir()
    (tools / "adb").write_text(FAKE_ADB)
    (tools / "adb").chmod(0o755)
    write_phone_benchmark(folder, manifest)
    result = subprocess.run(
        ["sh", "my export/benchmark_on_phone.sh", "benchmark_model", "2", "--use_gpu=true"],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "ADB_LOG": str(tmp_path / "log")},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = read(result.stdout)
    expected = Latency("Google Pixel 8 --use_gpu=true", 2, 0.812, p95_ms=0.903, runs=50)
    assert measured_files(manifest, rows) == list(manifest.models)
    assert [row.latency for row in rows] == [expected] * 3
    log = (tmp_path / "log").read_text()
    assert "push benchmark_model /data/local/tmp/ofar_tf/benchmark_model" in log
    assert log.count("push my export/large/large_int8.tflite /data/local/tmp/ofar_tf/model.tflite") == 1
    assert log.count("--num_threads=2 --use_gpu=true") == 3


def test_the_script_says_what_it_needs(manifest, tmp_path):
    write_phone_benchmark(tmp_path, manifest)
    result = subprocess.run(["sh", tmp_path / "benchmark_on_phone.sh"], capture_output=True, text=True, check=False)
    assert result.returncode != 0 and "Expected the path of benchmark_model. Received: none." in result.stderr


def test_the_commands_end_with_the_import():
    commands = phone_commands("run/export", export="ofar export --run_dir=run").splitlines()
    assert commands[1:] == [
        "sh run/export/benchmark_on_phone.sh benchmark_model > phone.csv",
        "ofar export --run_dir=run --import_latency=phone.csv",
    ]
