"""What the code computes, to the last bit: record it before a change that must not alter a number, compare it after.

python -m benchmarks.fingerprint FINGERPRINT.json            # about ten minutes on two cores
python -m benchmarks.fingerprint FINGERPRINT.json --quick    # without the quick start, about five
python -m benchmarks.fingerprint --compare BEFORE.json AFTER.json

It trains the quick start, runs every method on a few steps, kills a run and resumes it, and exports a network in every
precision; all with `--deterministic`. Equal numbers are promised on one machine and one set of versions only.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SMALL = (
    "--dataset=fashion_mnist_mini",
    "--train_split=train[:512]",
    "--eval_split=test[:100]",
    "--augmentation=pad_and_crop",
    "--model=resnet8",
    "--width_multiplier=0.5",
    "--pruning_rates=0.0,0.3,0.5",
    "--min_channels=4",
    "--channel_round_to=4",
    "--resolutions=20,16",
    "--epochs=3",
    "--search_epochs=1",
    "--batch_size=64",
    "--calibration_images=128",
    "--deterministic",
    "--noprogress",
)
METHODS = ("ofar", "us_net", "mutual_net", "slimmable", "independent", "network_slimming")
TABLES = ("pool.json", "results.csv", "similarity.csv", "subnets.csv")
PRECISIONS = "float32,float16,dynamic,int8,int8_float_io,int16x8,qat"
# What differs from run to run though nothing has changed: times, places and versions.
VARIABLE = ("versions", "git", "created", "latency", "arena_bytes", "origin", "sha256")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    if arguments.compare:
        sys.exit(_compare(*arguments.files))
    prints: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, digest in _record(Path(folder), quick=arguments.quick):
            prints[name] = digest
            arguments.files[0].write_text(json.dumps(prints, indent=1) + "\n")


def _compare(before: Path, after: Path) -> int:
    old, new = (json.loads(path.read_text()) for path in (before, after))
    different = sorted(name for name in old.keys() & new.keys() if old[name] != new[name])
    missing = sorted(old.keys() - new.keys())
    print(f"{len(old.keys() & new.keys()) - len(different)} equal, {len(different)} different, {len(missing)} missing")
    for name in different:
        print(f"different: {name}")
    for name in missing:
        print(f"missing: {name}")
    return 1 if different or missing else 0


def _record(folder: Path, *, quick: bool) -> Iterator[tuple[str, str]]:
    for method in METHODS:
        run = folder / method
        _command("train", *SMALL, f"--method={method}", f"--run_dir={run}")
        _command("evaluate", f"--run_dir={run}")
        yield from _digests(run, method)
    run = folder / "ofar"
    _command("export", f"--run_dir={run}", "--only=rate50@16", f"--precisions={PRECISIONS}", "--qat_epochs=1")
    yield from _digests(run / "export", "export")
    run = folder / "resumed"
    _kill_after_first_checkpoint(run)
    _command("train", *SMALL, f"--run_dir={run}")
    yield from _digests(run, "resumed")
    if not quick:
        run = folder / "quickstart"
        recipe = "--flagfile=experiments/fashion_mnist_mini.flagfile"
        _command("train", recipe, "--deterministic", "--noprogress", f"--run_dir={run}")
        _command("evaluate", f"--run_dir={run}")
        _command("export", f"--run_dir={run}", "--only=all")
        yield from _digests(run, "quickstart")
        yield from _digests(run / "export", "quickstart/export")


def _command(name: str, *arguments: str) -> None:
    began = time.monotonic()
    ended = subprocess.run([sys.executable, "-m", f"ofar_tf.{name}", *arguments], capture_output=True, text=True)
    # Status 1 of an export: a file failed its check, which a hundred images do not decide.
    if ended.returncode not in ((0, 1) if name == "export" else (0,)):
        raise SystemExit(f"{name} {' '.join(arguments)}: {ended.stderr}")
    print(f"{time.monotonic() - began:6.0f} s  {name} {arguments[-1]}", flush=True)


def _kill_after_first_checkpoint(run: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ofar_tf.train", *SMALL, f"--run_dir={run}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not list((run / "checkpoints").glob("*.npz")):
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def _digests(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        key = f"{name}/{path.relative_to(folder)}"
        if path.suffix == ".tflite":
            yield key, _sha256(path.read_bytes())
            yield f"{key} outputs", _tflite_outputs(path)
        elif path.suffix == ".keras":
            yield f"{key} weights", _keras_weights(path)
        elif path.name == "manifest.json":
            yield key, _sha256(json.dumps(_constant(json.loads(path.read_text())), sort_keys=True).encode())
        elif path.name in TABLES or path.suffix == ".npz":
            yield key, _sha256(path.read_bytes())


def _constant(value: object) -> object:
    if isinstance(value, dict):
        return {name: _constant(entry) for name, entry in value.items() if name not in VARIABLE}
    return [_constant(entry) for entry in value] if isinstance(value, list) else value


def _tflite_outputs(path: Path) -> str:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    ours, theirs = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    images = np.random.default_rng(0).integers(0, 256, ours["shape"]).astype(ours["dtype"])
    interpreter.set_tensor(ours["index"], images)
    interpreter.invoke()
    return _sha256(interpreter.get_tensor(theirs["index"]).tobytes())


def _keras_weights(path: Path) -> str:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    return _sha256(b"".join(weight.tobytes() for weight in keras.saving.load_model(path, compile=False).get_weights()))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
