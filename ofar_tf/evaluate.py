"""Calibrates and measures every structure of a finished run at every resolution.

ofar evaluate --run_dir=RUN
"""

from ofar_tf import flags
from ofar_tf.files import atomic_file
from ofar_tf.run.evaluate_config import EvaluateConfig
from ofar_tf.text.command_line import command_line
from ofar_tf.text.quiet import quiet_start


def main(config: EvaluateConfig) -> None:
    """Runs the command."""
    with quiet_start():
        from ofar_tf.data import DamagedImageError
        from ofar_tf.devices.distribution import distribute
        from ofar_tf.evaluation.pareto_figure import plot_pareto, points_of
        from ofar_tf.evaluation.subnet_table import print_subnets
        from ofar_tf.run.evaluation_pictures import write_pictures
        from ofar_tf.run.finished_run import FinishedRun
    with flags.one_line_errors():
        run = FinishedRun(
            config.run_dir,
            data_dir=config.data_dir,
            eval_images=config.eval_images,
            distribution=distribute(config.distribution),
        )
        if run.experiment.distribution.writes:
            atomic_file.require_writable(run.run_dir.path, name="a --run_dir")
    try:
        with flags.one_line_errors(DamagedImageError), run.experiment.images.reading():
            print(run.measuring, flush=True)
            evaluation = run.evaluate()
            write_pictures(run, evaluation)
        rows = evaluation.rows
        metric, title = run.experiment.task.metric, f"{run.supernet.name} on {run.config.dataset}"
        plot_pareto(run.run_dir.pareto, points_of(rows), metric=metric, title=title)
    except atomic_file.NoRoomError as error:
        raise SystemExit(f"Error: {error} Make room, and repeat the command.") from None
    print_subnets(rows)
    print(f"Next: {command_line('export', run_dir=config.run_dir, data_dir=config.data_dir)}")


if __name__ == "__main__":
    flags.run(main, EvaluateConfig)
