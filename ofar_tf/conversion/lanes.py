"""Worker processes side by side: each takes the next network as soon as it is free."""

import queue
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from ofar_tf.conversion.jobs import ConversionJob
from ofar_tf.conversion.worker_process import PLAIN, QUANTIZATION_AWARE, WorkerEndedError, WorkerProcess

NETWORKS_PER_WORKER = {PLAIN: 8, QUANTIZATION_AWARE: 1}
"""How many networks a process converts before another takes its place: what it leaks ends with it."""

Task = tuple[int, ConversionJob]
"""A job and its number."""


class Lanes:
    """Converts networks in several processes, inside a `with` block; none of them outlives it.

    A process starts with the first network that finds no free one, and waits for more until the block ends.

    Args:
        workers: How many processes run at once, at least 1.
        heirs: What makes them hold the folder that they write to (`FolderLock.for_heirs`).
    """

    def __init__(self, *, workers: int, heirs: Mapping[str, Any] | None = None):
        self._workers = workers
        self._networks: deque[Sequence[Task]] = deque()
        self._heirs = heirs
        self._answers: queue.Queue[tuple[int, str | None] | Exception] = queue.Queue()
        self._guard = threading.Condition()
        self._idle = 0
        self._stopped = False
        self._running: set[WorkerProcess] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._guard:
            self._stopped = True
            for worker in self._running:
                worker.kill()
            self._guard.notify_all()
        for thread in self._threads:
            thread.join()

    def give(self, network: Sequence[Task]) -> None:
        """Hands over a network, to be converted behind those that were given before.

        Args:
            network: Its jobs, at least one; all of them are fine-tuned or none is.
        """
        with self._guard:
            self._networks.append(network)
            self._guard.notify()
            if len(self._networks) > self._idle and len(self._threads) < self._workers:
                self._threads.append(threading.Thread(target=self._lane, daemon=True))
                self._threads[-1].start()

    def answer(self) -> tuple[int, str | None]:
        """Waits for the next file, of any network.

        Returns:
            The number of its job; and None where it was written, else what went wrong, in one line.

        Raises:
            OSError: If no process can be started.
        """
        answer = self._answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _lane(self) -> None:
        worker: WorkerProcess | None = None
        try:
            while network := self._next():
                worker = self._convert(network, worker)
        except Exception as error:  # Whatever it is, who waits for answers must learn of it.
            self._answers.put(error)
        finally:
            self._retire(worker)

    def _next(self) -> Sequence[Task] | None:
        """Waits for the next network; None at the end."""
        with self._guard:
            self._idle += 1
            self._guard.wait_for(lambda: self._networks or self._stopped)
            self._idle -= 1
            return None if self._stopped else self._networks.popleft()

    def _convert(self, network: Sequence[Task], worker: WorkerProcess | None) -> WorkerProcess | None:
        """Converts a network; if that ends the process, another goes on behind the file that did it."""
        left = deque(network)
        while left and not self._stopped:
            worker = self._ready(worker, QUANTIZATION_AWARE if left[0][1].fine_tuning else PLAIN)
            try:
                worker.begin([job for _, job in left])
                while left:
                    error = worker.answer()
                    self._answers.put((left.popleft()[0], error))
            except WorkerEndedError as ended:
                self._retire(worker)
                worker = None
                self._answers.put((left.popleft()[0], str(ended)))
        return worker

    def _ready(self, worker: WorkerProcess | None, module: str) -> WorkerProcess:
        if worker and worker.module == module and worker.networks < NETWORKS_PER_WORKER[module]:
            return worker
        self._retire(worker)
        with self._guard:
            worker = WorkerProcess(module, heirs=self._heirs)
            self._running.add(worker)
            if self._stopped:
                worker.kill()
            return worker

    def _retire(self, worker: WorkerProcess | None) -> None:
        if worker:
            with self._guard:
                self._running.discard(worker)
            worker.end()
