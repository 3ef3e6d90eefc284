"""An export that is killed at random moments, with all its processes, ends as one that was not.

A longer test: OFAR_TF_KILLS=40 pytest tests/test_killed_export.py
"""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SEED = random.SystemRandom().randrange(10**6)
SEEDS = [str(SEED + kill) for kill in range(int(os.environ.get("OFAR_TF_KILLS", "1")))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("exports")
    command = [sys.executable, str(Path(__file__).with_name("killed_export.py")), str(path), *SEEDS]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    ends = dict(
        line.split(": ", 1) for line in ended.stdout.splitlines() if re.match(r"(run|whole|killed|\d+): ", line)
    )
    print(ends)
    assert list(ends) == ["run", "whole", *SEEDS, "killed"], (ends, ended.stderr)
    # With forty images, a point of int8 accuracy is less than one image: whether files pass is not the question here.
    assert ends["run"] == "0" and ends["whole"] == ends["killed"], (ends, ended.stderr)
    return path


def manifest_without_times(export_dir):
    manifest = json.loads((export_dir / "manifest.json").read_text())
    return {**manifest, "created": None, "models": [{**model, "latency": None} for model in manifest["models"]]}


def test_the_manifest_is_that_of_an_export_without_a_break_but_for_times(folder):
    killed = manifest_without_times(folder / "killed")
    assert len(killed["models"]) == 2
    assert killed == manifest_without_times(folder / "whole"), f"seed {SEED}"


def test_the_files_are_those_of_an_export_without_a_break_and_none_is_left_over(folder):
    def files(export_dir):
        return sorted(path.relative_to(export_dir).as_posix() for path in export_dir.rglob("*"))

    assert files(folder / "killed") == files(folder / "whole"), f"seed {SEED}"
    for path in (folder / "whole").rglob("*.tflite"):
        assert (folder / "killed" / path.relative_to(folder / "whole")).read_bytes() == path.read_bytes()
