"""Many conversions, in processes of their own that each take a whole network at a time.

The converter leaks memory and can take its process down; neither may cost the other files. Starting a process and
writing a SavedModel take longer than most conversions; so a worker writes one for all precisions of a network, goes on
with the next network, and is renewed after a few.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from ofar_tf.conversion.jobs import Conversion, ConversionJob, ConversionResult
from ofar_tf.conversion.lanes import Lanes, Task
from ofar_tf.files.finished_work import Work


def convert_files(
    jobs: Sequence[ConversionJob],
    *,
    workers: int,
    on_done: Callable[[ConversionResult], None] | None = None,
    versions: Mapping[str, str] | None = None,
    heirs: Mapping[str, Any] | None = None,
) -> list[ConversionResult]:
    """Converts files in parallel processes and skips those that are there already.

    Whatever ends this function, an interrupt included, no process of its own outlives it and no half-written file is
    left.

    Args:
        jobs: What to convert; no two write the same file.
        workers: How many processes may run at once, at least 1.
        on_done: Called in this thread after each job.
        versions: Versions of the programs that convert, for the record.
        heirs: What makes the processes hold the folder that they write to (`FolderLock.for_heirs`).

    Returns:
        A result for each job, in the order of the jobs.

    Raises:
        ValueError: If `workers` is below 1 or two jobs write one file.
    """
    if workers < 1 or len({job.tflite_path for job in jobs}) < len(jobs):
        raise ValueError(
            f"Expected at least one worker and one job per file. Received: workers={workers}, {len(jobs)} jobs."
        )
    now = Conversion(dict(versions or {}))
    works = [job.work() if job.keras_path.is_file() else None for job in jobs]
    results: dict[int, ConversionResult] = {}

    def finish(index: int, result: ConversionResult) -> None:
        results[index] = result
        if on_done:
            on_done(result)

    for index, (job, work) in enumerate(zip(jobs, works, strict=True)):
        if made := _made_before(work):
            finish(index, ConversionResult(job, skipped=True, versions=made.versions))
    waiting = [(index, job) for index, job in enumerate(jobs) if index not in results]
    with Lanes(_by_network(waiting), workers=workers, heirs=heirs) as lanes:
        while len(results) < len(jobs):
            index, error = lanes.answer()
            if error is None and (work := works[index]):
                work.finish(now)
            finish(index, ConversionResult(jobs[index], error, versions={} if error else now.versions))
    return [results[index] for index in range(len(jobs))]


def _made_before(work: Work[Conversion] | None) -> Conversion | None:
    """Looks a conversion up; where it is to be done, an earlier file must not pass for this one's should it fail."""
    made = work.finished() if work else None
    if work and made is None:
        work.forget()
    return made


def _by_network(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """Puts the jobs of one `.keras` file together; those with fine-tuning are for processes of another kind."""

    def network(task: Task) -> tuple[str, bool]:
        return str(task[1].keras_path), task[1].fine_tuning is not None

    order = list(dict.fromkeys(map(network, tasks)))
    for _, group in groupby(sorted(tasks, key=lambda task: order.index(network(task))), key=network):
        yield list(group)
