"""The file of a matrix: which runs there are, as TOML.

seeds = [0, 1, 2]                        # Of every run below that has none of its own; [0] by default.
flagfile = "fashion_mnist_mini.flagfile" # Likewise; a relative path starts at the folder of this file.
overrides = ["--epochs=6"]               # Flags of every run, before those of its own.

[[run]]
name = "ofar"

[[run]]
name = "us_net"
overrides = ["--method=us_net"]          # Flags of ofar train, as on the command line.
"""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofar_tf.files.given_path import given_path
from ofar_tf.files.text_file import read_text
from ofar_tf.run.flagfile import one_flag
from ofar_tf.run.matrix.matrix_run import MatrixRun
from ofar_tf.run.train_config import TrainConfig

_KEYS = ("name", "flagfile", "seeds", "overrides")
# Names are folders beside matrix.csv and seeds.csv: a dot is there for numbers, as in rate_0.8.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.[0-9][A-Za-z0-9_-]*)*")
_OURS = ("run_dir", "seed")


@dataclass(frozen=True)
class MatrixEntry:
    """One `[[run]]`: what is trained once for each seed.

    Attributes:
        name: What it is called.
        seeds: Its seeds, at least one, all different.
        flagfile: Its flagfile, if it has one.
        overrides: Flags of `ofar train` after it.

    Raises:
        ValueError: If one of them is something else.
        FileNotFoundError: If there is no such flagfile.
    """

    name: str
    seeds: tuple[int, ...] = (0,)
    flagfile: Path | None = None
    overrides: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ValueError(f"Expected a name of letters, digits, _ and -. Received: {self.name!r}.")
        if not self.seeds or any(type(seed) is not int for seed in self.seeds):
            raise ValueError(f"Expected seeds to be a list of whole numbers. Received: {list(self.seeds)}.")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"Expected different seeds. Received: {list(self.seeds)}.")
        wrong = [text for text in self.overrides if not isinstance(text, str) or not text.startswith("--")]
        if wrong:
            raise ValueError(f"Expected overrides as --name=value. Received: {wrong[0]!r}.")
        taken = [text for text in self.overrides if text.lstrip("-").partition("=")[0] in _OURS]
        if taken:
            raise ValueError(f"Expected no --seed and no --run_dir, which the matrix sets. Received: {taken[0]!r}.")
        if self.flagfile is not None and not self.flagfile.is_file():
            raise FileNotFoundError(f"Expected a flagfile that can be read. Received: no {self.flagfile}.")

    def arguments(self, seed: int, *, folder: Path) -> tuple[str, ...]:
        """Returns the flags of the run with a seed, whose folder lies in the folder of the matrix."""
        flagfile = [f"--flagfile={self.flagfile}"] if self.flagfile else []
        run_dir = folder / self.name / f"seed_{seed}"
        return (*flagfile, *self.overrides, f"--seed={seed}", f"--run_dir={run_dir}")


def read_matrix(path: Path, *, folder: Path, parse: Callable[[Sequence[str]], TrainConfig]) -> tuple[MatrixRun, ...]:
    """Reads a file of runs and checks all of it.

    Args:
        path: The file.
        folder: Where the runs go, each into NAME/seed_SEED.
        parse: Turns flags of `ofar train` into its configuration.

    Returns:
        The runs in the order of the file: all seeds of one name, then the next.

    Raises:
        ValueError: If it is not such a file, names a run twice, has runs of several tasks, or a flagfile or a flag of a
            run does not fit.
        FileNotFoundError: If it is missing.
    """
    table = _load(path)
    tables = table.pop("run", [])
    if not isinstance(tables, list) or not tables or not all(isinstance(entry, dict) for entry in tables):
        raise ValueError(f"Expected [[run]] tables in {path}, one at least. Received: run = {tables!r}.")
    _check_keys(table, known=_KEYS[1:], path=path)
    runs: list[MatrixRun] = []
    for position, entry in enumerate(tables):
        _check_keys(entry, known=_KEYS, path=path)
        where = f"run {entry.get('name', position + 1)!r} of {path}"
        try:
            runs += _runs_of(_entry(table, entry, start=path.parent), folder=folder, parse=parse)
        except (ValueError, OSError) as error:
            raise ValueError(f"Expected a run of ofar train in {where}. Received: {error}") from error
    names = [entry["name"] for entry in tables]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"Expected a name of its own for every run of {path}. Received: {twice[0]!r} twice.")
    tasks = sorted({run.config.task for run in runs})
    if len(tasks) > 1:
        raise ValueError(f"Expected runs of one task in {path}, for one table. Received: {' and '.join(tasks)}.")
    return tuple(runs)


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"Expected a file of runs. Received: {path}, which is none.")
    try:
        return tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"Expected TOML in {path}. Received: {error}.") from error


def _check_keys(table: Mapping[str, Any], *, known: Sequence[str], path: Path) -> None:
    unknown = sorted(set(table) - set(known))
    if unknown:
        place = "in a [[run]]" if "name" in known else "above the runs"
        raise ValueError(f"Expected only {', '.join(known)} {place} of {path}. Received: {unknown[0]!r}.")


def _entry(defaults: Mapping[str, Any], table: Mapping[str, Any], *, start: Path) -> MatrixEntry:
    merged = {**defaults, **table}
    flagfile, seeds = merged.get("flagfile"), merged.get("seeds", [0])
    overrides = [defaults.get("overrides", []), table.get("overrides", [])]
    if flagfile is not None and not isinstance(flagfile, str):
        raise ValueError(f"Expected flagfile to be a path. Received: {flagfile!r}.")
    for name, value in (("seeds", seeds), *(("overrides", value) for value in overrides)):
        if not isinstance(value, list):
            raise ValueError(f"Expected {name} to be a list. Received: {value!r}.")
    return MatrixEntry(
        name=merged.get("name", ""),
        seeds=tuple(seeds),
        flagfile=start / given_path(flagfile) if flagfile is not None else None,
        overrides=tuple(one_flag(text) if isinstance(text, str) else text for some in overrides for text in some),
    )


def _runs_of(entry: MatrixEntry, *, folder: Path, parse: Callable[[Sequence[str]], TrainConfig]) -> list[MatrixRun]:
    runs = []
    for seed in entry.seeds:
        arguments = entry.arguments(seed, folder=folder)
        config = parse(arguments)
        if config.only_looks:
            raise ValueError("Expected flags that train. Received: --plan, --explain or --write_groups.")
        runs.append(MatrixRun(entry.name, seed, arguments, config))
    return runs
