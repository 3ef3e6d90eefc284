"""Writes the family of TFLite files of an evaluated run, each one checked.

python -m ofar_tf.export --run_dir=RUN [--flagfile=export/int8.flagfile]
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofar_tf import flags
from ofar_tf.files import atomic_file
from ofar_tf.files.folder_lock import FolderLock
from ofar_tf.run.export_config import ExportConfig
from ofar_tf.text.command_line import command_line
from ofar_tf.text.quiet import quiet_start

if TYPE_CHECKING:
    from ofar_tf.evaluation.subnet_table import SubnetRow
    from ofar_tf.run.finished_run import FinishedRun


def main(config: ExportConfig) -> int:
    """Runs the command; its status is 1 if a file failed its check."""
    try:
        return _export(config)
    except atomic_file.NoRoomError as error:
        raise SystemExit(f"Error: {error} Make room: the same command goes on where it was.") from None


def _export(config: ExportConfig) -> int:
    with quiet_start():
        from ofar_tf.conversion.precision import precision_named
        from ofar_tf.conversion.quantization_aware.fine_tuning import FineTuning
        from ofar_tf.conversion.stock_networks import family_members
        from ofar_tf.data import DamagedImageError
        from ofar_tf.evaluation.subnet_table import read_subnets
        from ofar_tf.family.family_export import export_family
        from ofar_tf.family.family_table import print_family
        from ofar_tf.family.manifest import ManifestHeader, read_manifest
        from ofar_tf.family.packed_family import pack_family
        from ofar_tf.family.phone_benchmark import phone_commands
        from ofar_tf.family.phone_latency import read_phone_latencies, with_phone_latencies
        from ofar_tf.family.report.search_record import SearchRecord, read_similarity, recorded_masks
        from ofar_tf.run.environment import git_commit, versions
        from ofar_tf.run.finished_run import FinishedRun
        from ofar_tf.tflite.metadata import Credits
    with flags.one_line_errors():
        run = FinishedRun(config.run_dir, data_dir=config.data_dir, eval_images=config.eval_images)
        chosen = _choose(read_subnets(run.run_dir.subnets, run.experiment.task.metric), config.only)
        for precision in config.precisions:
            precision_named(precision)
        similarity = read_similarity(run.run_dir.path / "similarity.csv", recorded_masks(run.run_dir.checkpoints))
        export_dir = Path(config.export_dir) if config.export_dir else run.run_dir.export
        phones = read_phone_latencies(config.import_latency) if config.import_latency else []
        if phones:
            with_phone_latencies(read_manifest(export_dir / "manifest.json"), phones)
        lock = FolderLock(export_dir)
    atomic_file.remove_unfinished(export_dir)
    with flags.one_line_errors(DamagedImageError), run.experiment.reading():
        result = export_family(
            family_members(run.trained_pool, chosen, origin=run.origin),
            export_dir=export_dir,
            labels=run.class_names,
            header=ManifestHeader.now(
                versions=versions(), git=git_commit(), dataset=_dataset(run, config), seed=run.config.seed
            ),
            evaluation_batches=run.evaluation_batches,
            representative_images=lambda r: run.experiment.images_at(r, images=config.representative_images),
            precisions=config.precisions,
            fine_tuning=FineTuning(config.qat_epochs, config.qat_learning_rate, seed=run.config.seed),
            fine_tuning_images=lambda r: run.experiment.images_at(r, images=config.qat_images),
            credits=Credits(
                description=config.description,
                version=config.model_version,
                license=config.license,
                author=config.author,
            ),
            search=SearchRecord(run.pool, similarity),
            workers=config.workers or os.cpu_count() or 1,
            latency_threads=config.latency_threads,
            phone_latencies=phones,
        )
    print_family(result.manifest)
    if config.pack_resolutions:
        workers = config.workers or os.cpu_count() or 1
        for file in pack_family(result.manifest, export_dir, batches=run.evaluation_batches, threads=workers):
            print(file.summary)
    lock.release()
    for failure in result.failures:
        print(f"Failed: {failure}", file=sys.stderr)
    if not phones:
        print("On a connected phone:")
        print(phone_commands(export_dir, export=command_line("export", run_dir=config.run_dir)), end="")
    budget = min(row.macs for row in chosen)
    print(f"Next: {command_line('select', export_dir=export_dir, max_macs=budget)}")
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
