"""Exports one run again and again, each time killed at another moment; started by `test_killed_export`, not by pytest.

python killed_export.py FOLDER SEED [SEED ...]

Trains and evaluates FOLDER/run, exports it to FOLDER/whole without a break, and to FOLDER/killed with one for each
seed. After each, every file that has its final name must be whole.
"""

import json
import sys
import zipfile
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from sudden_death import die_at_random, end_of

from ofar_tf import evaluate, export
from ofar_tf.files.atomic_file import sha256_of
from ofar_tf.run import training_run
from ofar_tf.run.evaluate_config import EvaluateConfig
from ofar_tf.run.export_config import ExportConfig
from ofar_tf.run.train_config import TrainConfig


def train_and_evaluate(run_dir):
    training_run.prepare(
        TrainConfig(
            run_dir=str(run_dir),
            model="resnet8",
            width_multiplier=0.5,
            train_split="train[:64]",
            eval_split="test[:40]",
            augmentation="none",
            pruning_rates=(0.0, 0.5),
            resolutions=(12,),
            min_channels=4,
            channel_round_to=4,
            epochs=1,
            search_epochs=0,
            batch_size=32,
            calibration_images=32,
            validation_every=0,
            progress=False,
        )
    ).train()
    evaluate.main(EvaluateConfig(run_dir=str(run_dir)))


def export_to(export_dir, run_dir, seed=None):
    if seed is not None:
        # A whole export does about three times as many; most of its time are the conversions, in other processes.
        die_at_random(seed, export_dir, operations=40, seconds=5)
    config = ExportConfig(
        run_dir=str(run_dir), export_dir=str(export_dir), only=("rate50",), representative_images=16, workers=2
    )
    return export.main(config)


def check_files(folder):
    """Reads every file that has its final name to its end."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.parent.name.startswith(".partial_")]
    for path in files:
        if path.suffix == ".tflite":
            Interpreter(str(path)).allocate_tensors()
        elif path.suffix == ".keras":
            assert zipfile.ZipFile(path).testzip() is None
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".png":
            Image.open(path).load()
        else:
            assert path.name == ".lock" or path.stat().st_size
    if (folder / "manifest.json").exists():
        for entry in json.loads((folder / "manifest.json").read_text())["models"]:
            assert entry["sha256"] == sha256_of(folder / entry["path"]), entry["path"]
    return len(files)


def main(folder, seeds):
    run = folder / "run"
    print("run:", end_of(lambda: train_and_evaluate(run)), flush=True)
    print("whole:", end_of(lambda: export_to(folder / "whole", run)), flush=True)
    for seed in seeds:
        end = end_of(lambda seed=seed: export_to(folder / "killed", run, seed))
        print(f"{seed}: {end}, {check_files(folder / 'killed')} files are whole", flush=True)
    print("killed:", end_of(lambda: export_to(folder / "killed", run)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]])
