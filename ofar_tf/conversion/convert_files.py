"""Many conversions, in processes of their own that each take a whole network at a time.

The converter leaks memory and can take its process down; neither may cost the other files. Starting a process and
writing a SavedModel take longer than most conversions; so a worker writes one for all precisions of a network, goes on
with the next network, and is renewed after a few.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from ofar_tf.conversion.jobs import Conversion, ConversionJob, ConversionResult
from ofar_tf.conversion.lanes import Lanes, Task
from ofar_tf.files.finished_work import Work


def convert_files(
    jobs: Iterable[ConversionJob],
    *,
    workers: int,
    on_done: Callable[[ConversionResult], None] | None = None,
    versions: Mapping[str, str] | None = None,
    heirs: Mapping[str, Any] | None = None,
) -> list[ConversionResult]:
    """Converts files in parallel processes and skips those that are there already.

    Whatever ends this function, an interrupt included, no process of its own outlives it and no half-written file is
    left.

    Conversion begins with the first network while the next is still on its way.

    Args:
        jobs: What to convert, those of a network one after the other; no two write the same file.
        workers: How many processes may run at once, at least 1.
        on_done: Called in this thread after each job.
        versions: Versions of the programs that convert, for the record.
        heirs: What makes the processes hold the folder that they write to (`FolderLock.for_heirs`).

    Returns:
        A result for each job, in the order of the jobs.

    Raises:
        ValueError: If `workers` is below 1 or two jobs write one file.
    """
    if workers < 1:
        raise ValueError(f"Expected at least one worker and one job per file. Received: workers={workers}.")
    files = _Files(Conversion(dict(versions or {})), on_done or (lambda result: None))
    with Lanes(workers=workers, heirs=heirs) as lanes:
        for network in _by_network(jobs):
            if waiting := [(index, job) for index, job in network if files.take(index, job)]:
                lanes.give(waiting)
        for index in list(files.made):
            files.finish(index)
        while len(files.results) < len(files.jobs):
            files.finish(*lanes.answer())
    return [files.results[index] for index in sorted(files.results)]


@dataclass
class _Files:
    """The files of a call by their numbers: what is to be converted, what was before, and how it ended."""

    now: Conversion
    on_done: Callable[[ConversionResult], None]
    jobs: dict[int, ConversionJob] = field(default_factory=dict)
    works: dict[int, Work[Conversion] | None] = field(default_factory=dict)
    made: dict[int, Conversion] = field(default_factory=dict)
    results: dict[int, ConversionResult] = field(default_factory=dict)

    def take(self, index: int, job: ConversionJob) -> bool:
        """Takes a job; returns whether its file is to be converted."""
        if any(job.tflite_path == other.tflite_path for other in self.jobs.values()):
            raise ValueError(f"Expected at least one worker and one job per file. Received: {job.tflite_path} twice.")
        self.jobs[index] = job
        self.works[index] = work = job.work() if job.keras_path.is_file() else None
        if made := _made_before(work):
            self.made[index] = made
        return made is None

    def finish(self, index: int, error: str | None = None) -> None:
        """Notes how a file ended."""
        made, work = self.made.get(index), self.works[index]
        if error is None and made is None and work:
            work.finish(self.now)
        versions = {} if error else (made or self.now).versions
        result = ConversionResult(self.jobs[index], error, skipped=made is not None, versions=versions)
        self.results[index] = result
        self.on_done(result)


def _made_before(work: Work[Conversion] | None) -> Conversion | None:
    """Looks a conversion up; where it is to be done, an earlier file must not pass for this one's should it fail."""
    made = work.finished() if work else None
    if work and made is None:
        work.forget()
    return made


def _by_network(jobs: Iterable[ConversionJob]) -> Iterator[list[Task]]:
    """Puts the jobs of one `.keras` file together; those with fine-tuning are for processes of another kind."""
    for _, group in groupby(enumerate(jobs), key=lambda task: task[1].keras_path):
        plain: list[Task] = []
        tuned: list[Task] = []
        for task in group:
            (tuned if task[1].fine_tuning else plain).append(task)
        yield from filter(None, (plain, tuned))
