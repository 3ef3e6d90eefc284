"""The process that converts networks one after the other: `python -m ofar_tf.conversion.worker`.

Each line of its input is a network's jobs (`jobs_to_line`); for each job it writes a line to its output: nothing where
the file was written, else what went wrong, as JSON. It ends with its input: a worker whose caller was killed does not
go on writing.
"""

import gc
import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from ofar_tf.conversion.jobs import ConversionJob, jobs_from_line
from ofar_tf.files import atomic_file
from ofar_tf.tflite.metadata import with_metadata

Convert = Callable[[ConversionJob], bytes]
"""Makes the content of one file of the network that is at hand."""

OpenNetwork = Callable[[Sequence[ConversionJob]], AbstractContextManager[Convert]]
"""Makes a network ready to be converted, for its jobs."""


def serve(open_network: OpenNetwork) -> None:
    """Converts what the lines of the standard input ask for, until it ends.

    What libraries print goes where errors go. The process ends here, at once, whatever it is doing then.

    Args:
        open_network: Makes the network of a line ready.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    # What imports made stays. Tracing makes millions of objects that stay as long as their network, which is then
    # collected as a whole, see `open_network`.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    while True:
        for error in run_jobs(jobs_from_line(lines.get()), open_network):
            print(json.dumps(error), file=answers, flush=True)


def _read(lines: "queue.Queue[str]") -> None:
    for line in sys.stdin:
        lines.put(line)
    # The caller has finished, or is gone. Whatever is written appears whole or not at all, so it may end anywhere.
    os._exit(0)


def run_jobs(jobs: Sequence[ConversionJob], open_network: OpenNetwork) -> Iterator[str | None]:
    """Converts one network into its files.

    Args:
        jobs: The files, all of one `.keras` file.
        open_network: Makes the network ready.

    Yields:
        For each job in turn, None once its file is written, else what went wrong in one line.
    """
    left = len(jobs)
    try:
        with open_network(jobs) as convert:
            for job in jobs:
                error = _write(job, convert)
                left -= 1
                yield error
    except Exception as error:  # Whatever stands in the way of the network is what each of its files lacks.
        yield from [one_line(error)] * left


def _write(job: ConversionJob, convert: Convert) -> str | None:
    try:
        content = convert(job)
        if job.metadata:
            content = with_metadata(content, job.metadata)
        with atomic_file.replacing(job.tflite_path) as temporary:
            temporary.write_bytes(content)
    except Exception as error:  # Whatever the converter raises becomes this job's message.
        return one_line(error)
    return None


def one_line(error: BaseException | str) -> str:
    """Returns an error, or the last line of what was printed, as a short line."""
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return f"{' '.join(text.split()):.300}"


if __name__ == "__main__":
    # Keras imports Matplotlib where it can, which takes half a second, and a worker draws nothing; a user's module may.
    sys.modules["matplotlib"] = None  # type: ignore[assignment]
    # Imported here because only the process itself needs TensorFlow: it starts while its caller still saves networks.
    from ofar_tf.conversion.open_network import open_network

    del sys.modules["matplotlib"]
    serve(open_network)
