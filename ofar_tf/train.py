"""Searches the structures of a supernet and trains them all at once.

python -m ofar_tf.train --flagfile=experiments/NAME.flagfile --run_dir=RUN [other flags, which win]
"""

from ofar_tf import flags
from ofar_tf.config import TrainConfig


def main(config: TrainConfig) -> None:
    """Runs the command."""
    with flags.quiet_imports():
        from ofar_tf.look_ahead import look_ahead
        from ofar_tf.training.callbacks import DivergenceError
        from ofar_tf.training_run import prepare
    with flags.one_line_errors():
        if config.only_looks:
            look_ahead(config)
            return
        run = prepare(config)
    if run is None:
        print(f"The run in {config.run_dir} is finished; nothing was changed.")
    else:
        try:
            run.train()
        except DivergenceError as error:
            raise SystemExit(f"Error: {error}") from None
    print(f"Next: python -m ofar_tf.evaluate --run_dir={config.run_dir}")


if __name__ == "__main__":
    flags.run(main, TrainConfig)
