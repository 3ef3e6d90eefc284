"""Writes the family of TFLite files of an evaluated run, each one checked.

python -m ofar_tf.export --run_dir=RUN [--flagfile=export/int8.flagfile]
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofar_tf import flags
from ofar_tf.config import ExportConfig

if TYPE_CHECKING:
    from ofar_tf.deploy.subnet_table import SubnetRow
    from ofar_tf.finished_run import FinishedRun


def main(config: ExportConfig) -> int:
    """Runs the command; its status is 1 if a file failed its check."""
    with flags.quiet_imports():
        from ofar_tf.deploy.family import export_family
        from ofar_tf.deploy.family_table import print_family
        from ofar_tf.deploy.precision import precision_named
        from ofar_tf.deploy.subnet_table import read_subnets
        from ofar_tf.environment import manifest_header
        from ofar_tf.finished_run import FinishedRun
    with flags.one_line_errors():
        run = FinishedRun(config.run_dir, data_dir=config.data_dir, eval_images=config.eval_images)
        chosen = _choose(read_subnets(run.run_dir.subnets), config.only)
        for precision in config.precisions:
            precision_named(precision)
    export_dir = Path(config.export_dir) if config.export_dir else run.run_dir.export
    result = export_family(
        run.trained_pool.members(chosen, origin=run.origin),
        export_dir=export_dir,
        labels=run.experiment.dataset.class_names,
        header=manifest_header(dataset=_dataset(run, config), seed=run.config.seed),
        evaluation_batches=run.evaluation_batches,
        representative_images=lambda r: run.experiment.images_at(r, images=config.representative_images),
        precisions=config.precisions,
        workers=config.workers or os.cpu_count() or 1,
    )
    print_family(result.manifest)
    for failure in result.failures:
        print(f"Failed: {failure}", file=sys.stderr)
    budget = min(row.macs for row in chosen)
    print(f"Next: python -m ofar_tf.select --export_dir={export_dir} --max_macs={budget}")
    return 1 if result.failures else 0


def _choose(rows: "Sequence[SubnetRow]", only: Sequence[str]) -> "list[SubnetRow]":
    """Picks the rows of `subnets.csv` that `--only` asks for."""
    if only == ("pareto",):
        return [row for row in rows if row.pareto]
    if only == ("all",):
        return list(rows)
    known = {row.structure for row in rows} | {f"{row.structure}@{row.resolution}" for row in rows}
    unknown = [entry for entry in only if entry not in known]
    if unknown or not only:
        structures = ", ".join(dict.fromkeys(row.structure for row in rows))
        raise ValueError(
            f"Expected --only=pareto, all, or a list of STRUCTURE or STRUCTURE@RESOLUTION with {structures}. "
            f"Received: {','.join(unknown)!r}."
        )
    return [row for row in rows if row.structure in only or f"{row.structure}@{row.resolution}" in only]


def _dataset(run: "FinishedRun", config: ExportConfig) -> dict[str, Any]:
    """Says what the networks were trained and measured on."""
    return {
        "name": run.config.dataset,
        "train_split": run.config.train_split,
        "eval_split": run.experiment.eval_split,
        "origin": run.origin,
        "eval_images": config.eval_images or run.experiment.dataset.num_examples(run.experiment.eval_split),
    }


if __name__ == "__main__":
    flags.run(main, ExportConfig)
