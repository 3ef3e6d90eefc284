"""A `.tflite` file of unknown origin tried in a process of its own: LiteRT may crash on a damaged one, or never end."""

import os
import subprocess
import sys
from pathlib import Path

from ofar_tf.text.size import LARGEST_SIDE

_SECONDS = 120
_PROGRAM = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
try:
    interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
    for details in interpreter.get_input_details():
        if any(side < 0 or side > int(sys.argv[2]) for side in details["shape"]):
            raise ValueError(f"an input of {details['shape'].tolist()}")
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
    interpreter.invoke()
except Exception as error:
    print(" ".join(str(error).split())[:200] or type(error).__name__)
    sys.exit(3)
"""


def try_file(path: Path) -> None:
    """Loads a file and runs it once, on zeros, where a crash does no harm. It takes about half a second.

    Args:
        path: The file.

    Raises:
        ValueError: If LiteRT cannot run it, crashes or does not come to an end.
    """
    command = [sys.executable, "-c", _PROGRAM, os.fspath(path), str(LARGEST_SIDE)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"Expected a file that LiteRT can run. Received: {path}, for over {_SECONDS} s.") from error
    if ended.returncode:
        reason = ended.stdout.strip() if ended.returncode == 3 else "LiteRT crashes on it"
        raise ValueError(f"Expected a file that LiteRT can run. Received: {path}: {reason.rstrip('.')}.")
