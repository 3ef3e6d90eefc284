"""`benchmark_on_phone.sh` of a folder of files: times them on a connected phone."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from ofar_tf.family.manifest import Manifest
from ofar_tf.files import atomic_file

SCRIPT = "benchmark_on_phone.sh"
BINARY = "https://storage.googleapis.com/litert/binaries/latest/android_arm64/benchmark_model"
"""LiteRT's benchmark as a program for 64-bit phones, which its documentation offers for download."""

# `benchmark_model` prints microseconds, first of its warm-up and then of the runs: `count=50 ... median=812 p95=903`.
_TEXT = """\
#!/bin/sh
# Times the files of this folder on the phone that adb sees, with LiteRT's own benchmark, and writes the table that
# `{reader}` reads:
#
#   sh {script} BENCHMARK_MODEL [THREADS [FLAGS_OF_THE_BENCHMARK...]] > phone.csv
#
# BENCHMARK_MODEL is the program from {binary}
set -eu
program=${{1:?Expected the path of benchmark_model. Received: none.}}
threads=${{2:-4}}
[ $# -lt 2 ] || shift
shift
folder=$(dirname "$0")
target=/data/local/tmp/ofar_tf
property() {{ adb shell getprop "$1" </dev/null | tr -d '\\r\\n",'; }}
device="$(property ro.product.manufacturer) $(property ro.product.model)${{*:+ $*}}"
adb shell mkdir -p $target </dev/null >&2
adb push "$program" $target/benchmark_model </dev/null >&2
adb shell chmod +x $target/benchmark_model </dev/null >&2
echo file,sha256,device,threads,median_ms,p95_ms,runs
while read -r sha256 file; do
  adb push "$folder/$file" $target/model.tflite </dev/null >&2
  adb shell "$target/benchmark_model --graph=$target/model.tflite --num_threads=$threads $* 2>&1" </dev/null |
    tr -d '\\r' | awk -v row="$file,$sha256,$device,$threads" '
      / median=/ {{ for (i = 1; i <= NF; i++) if (split($i, part, "=") == 2) value[part[1]] = part[2] }}
      END {{
        if (!("median" in value)) {{ print "No figures for " row > "/dev/stderr"; exit 1 }}
        print row "," value["median"] / 1000 "," value["p95"] / 1000 "," value["count"]
      }}'
done <<FILES
{files}
FILES
"""


def write_phone_benchmark(folder: Path, manifest: Manifest) -> None:
    """Writes the script, with every file that LiteRT can run.

    Args:
        folder: The export folder.
        manifest: The files.
    """
    files = {model.path: model.sha256 for model in manifest.models if model.checks.runs}
    write_benchmark_script(folder, files, reader="ofar export --import_latency=phone.csv")


def write_benchmark_script(folder: Path, files: Mapping[str, str], *, reader: str) -> None:
    """Writes the script for some files.

    Args:
        folder: Where to.
        files: The SHA-256 of each file, by its path relative to the folder.
        reader: The command that reads the table, for people.
    """
    listed = "\n".join(f"{sha256} {path}" for path, sha256 in files.items())
    atomic_file.write_text(folder / SCRIPT, _TEXT.format(script=SCRIPT, binary=BINARY, files=listed, reader=reader))


def phone_commands(folder: str | Path, *, export: str) -> str:
    """Says how to measure an export on a phone and bring the figures back.

    Args:
        folder: The export folder, as a path on the command line.
        export: The command that wrote it.

    Returns:
        Lines of shell.
    """
    return benchmark_commands(folder, table="phone.csv", reader=f"{export} --import_latency=phone.csv")


def benchmark_commands(folder: str | Path, *, table: str, reader: str, threads: int | None = None) -> str:
    """Says how to run the script and what reads its table.

    Args:
        folder: Where the script is, as a path on the command line.
        table: The file that the script's output goes to.
        reader: The command that reads it.
        threads: How many threads LiteRT uses; None for the script's own choice.

    Returns:
        Lines of shell.
    """
    arguments = "benchmark_model" if threads is None else f"benchmark_model {threads}"
    script = shlex.quote(str(Path(folder) / SCRIPT))
    return f"curl -LO {BINARY}\nsh {script} {arguments} > {shlex.quote(table)}\n{reader}\n"
