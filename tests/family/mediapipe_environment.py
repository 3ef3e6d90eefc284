"""Scripts run in the environment of MediaPipe, which cannot be installed beside ours (DESIGN section 4).

`make acceptance` makes it; without one the tests that need it are skipped.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

PYTHON = os.environ.get("OFAR_TF_MEDIAPIPE_PYTHON")
NEEDS_MEDIAPIPE = pytest.mark.skipif(not PYTHON, reason="needs mediapipe in an environment of its own: make acceptance")


def ask(script, pictures, files, *, folder):
    """Runs a script beside this file; returns what it prints of each file, by the keys of `files`."""
    np.save(folder / "images.npy", pictures)
    command = [PYTHON, Path(__file__).with_name(script), folder / "images.npy", *files.values()]
    # Not this environment's packages, should it be known by PYTHONPATH.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    by_path = json.loads(done.stdout)
    return {key: by_path[str(path)] for key, path in files.items()}
