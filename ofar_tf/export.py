"""Writes the family of TFLite files of an evaluated run, each one checked.

ofar export --run_dir=RUN [--flagfile=export/int8.flagfile]
"""

import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ofar_tf import flags
from ofar_tf.files import atomic_file
from ofar_tf.run.export_config import ExportConfig
from ofar_tf.run.settings import given_settings
from ofar_tf.text.command_line import command_line
from ofar_tf.text.quiet import quiet_start

if TYPE_CHECKING:
    from ofar_tf.evaluation.subnet_table import SubnetRow
    from ofar_tf.family.export_spec import ExportSpec
    from ofar_tf.pruning.latency_predictor import LatencyPredictor


def main(config: ExportConfig) -> int:
    """Runs the command; its status is 1 if a file failed its check."""
    try:
        return _export(config)
    except atomic_file.NoRoomError as error:
        raise SystemExit(f"Error: {error} Make room: the same command goes on where it was.") from None


def _export(config: ExportConfig) -> int:
    with quiet_start():
        from ofar_tf.data import DamagedImageError
        from ofar_tf.family.family_folder import FamilyFolder
        from ofar_tf.family.family_table import print_family
        from ofar_tf.family.measured_latency import prediction_misses
        from ofar_tf.family.phone_latency import read_phone_latencies
        from ofar_tf.run.finished_run import FinishedRun
        from ofar_tf.run.run_family import export_run, search_record
    with flags.one_line_errors():
        run = FinishedRun(config.run_dir, data_dir=config.data_dir, eval_images=config.eval_images)
        spec = _spec(config, seed=run.config.seed)
        spec.check_task(run.experiment.task)
        evaluation = run.evaluated()
        chosen = evaluation.of(_choose(evaluation.rows, config.only))
        search = search_record(run)
        phones = read_phone_latencies(config.import_latency) if config.import_latency else []
        folder = FamilyFolder(
            config.export_dir or run.run_dir.export, training=run.trained_pool.training, overwrite=config.overwrite
        )
        if phones:
            folder.import_latencies(phones)
    with flags.one_line_errors(DamagedImageError):
        result = export_run(run, chosen, folder=folder, spec=spec, search=search)
    print_family(result.manifest)
    if misses := prediction_misses(result.manifest.models):
        print(f"Predicted latency: within {statistics.median(misses):.1%} of the measured one for half of the files.")
    for warning in (*_unpredicted(config, run.experiment.predictor), *result.warnings):
        print(f"Warning: {warning}", file=sys.stderr)
    for failure in result.failures:
        print(f"Failed: {failure}", file=sys.stderr)
    _print_next(config, folder.path, budget=min(row.macs for row in chosen.rows))
    return 1 if result.failures else 0


def _unpredicted(config: ExportConfig, predictor: "LatencyPredictor | None") -> Iterator[str]:
    """Says so where none of the files is of the kind that the run's device was measured with."""
    if predictor and predictor.precision not in config.precisions:
        yield (
            f"the run's milliseconds are those of {predictor.precision} files on {predictor.device}; none of the files "
            "here is one, see --precisions."
        )


def _spec(config: ExportConfig, *, seed: int) -> "ExportSpec":
    from ofar_tf.conversion.quantization_aware.fine_tuning import FineTuning
    from ofar_tf.devices.processors import usable_cores
    from ofar_tf.family.export_spec import ExportSpec
    from ofar_tf.tflite.metadata import Credits

    return ExportSpec(
        precisions=config.precisions,
        representative_images=config.representative_images,
        fine_tuning=FineTuning(config.qat_epochs, config.qat_learning_rate, seed=seed),
        fine_tuning_images=config.qat_images,
        mixed_algorithm=config.mixed_algorithm,
        credits=Credits(
            description=config.description, version=config.model_version, license=config.license, author=config.author
        ),
        workers=config.workers or usable_cores(),
        latency_threads=config.latency_threads,
        forms=config.forms,
        report_images=config.report_images,
    )


def _print_next(config: ExportConfig, export_dir: Path, *, budget: int) -> None:
    from ofar_tf.family.phone_benchmark import phone_commands

    if not config.import_latency:
        print("On a connected phone:")
        # All that was asked for: files of other words, precisions or networks would be made as well, or instead.
        again = command_line("export", **given_settings(config))
        print(phone_commands(export_dir, export=again), end="")
    print(f"Next: {command_line('select', export_dir=export_dir, max_macs=budget)}")


def _choose(rows: "Sequence[SubnetRow]", only: Sequence[str]) -> "list[SubnetRow]":
    """Picks the rows of `subnets.csv` that `--only` asks for."""
    if only == ("pareto",):
        return [row for row in rows if row.pareto]
    if only == ("all",):
        return list(rows)
    names = [{row.structure, f"@{row.resolution}", f"{row.structure}@{row.resolution}"} for row in rows]
    unknown = [entry for entry in only if entry not in set().union(*names)]
    if unknown or not only:
        structures = dict.fromkeys(row.structure for row in rows)
        sizes = dict.fromkeys(str(row.resolution) for row in rows)
        raise ValueError(
            "Expected --only=pareto, all, or a list of STRUCTURE, @RESOLUTION or STRUCTURE@RESOLUTION with "
            f"{', '.join(structures)} at {', '.join(sizes)}. Received: {','.join(unknown)!r}."
        )
    return [row for row, own in zip(rows, names, strict=True) if not own.isdisjoint(only)]


if __name__ == "__main__":
    flags.run(main, ExportConfig)
