"""`benchmark_on_phone.sh` of an export folder: times the files on a connected phone."""

import shlex
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
# `python -m ofar_tf.export --import_latency=phone.csv` reads:
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
    files = "\n".join(f"{model.sha256} {model.path}" for model in manifest.models if model.checks.runs)
    atomic_file.write_text(folder / SCRIPT, _TEXT.format(script=SCRIPT, binary=BINARY, files=files))


def phone_commands(folder: str | Path, *, export: str) -> str:
    """Says how to measure on a phone and bring the figures back.

    Args:
        folder: The export folder, as a path on the command line.
        export: The command that wrote it.

    Returns:
        Lines of shell.
    """
    return (
        f"curl -LO {BINARY}\n"
        f"sh {shlex.quote(str(Path(folder) / SCRIPT))} benchmark_model > phone.csv\n"
        f"{export} --import_latency=phone.csv\n"
    )
