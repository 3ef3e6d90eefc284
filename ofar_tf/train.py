"""Searches the structures of a supernet and trains them all at once.

ofar train --flagfile=experiments/NAME.flagfile --run_dir=RUN [other flags, which win]
"""

import sys
from pathlib import Path

from ofar_tf import flags
from ofar_tf.files import atomic_file
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.text.command_line import command_line
from ofar_tf.text.quiet import quiet_start


def main(config: TrainConfig) -> int:
    """Runs the command; returns its status."""
    with quiet_start():
        from ofar_tf.data import DamagedImageError
        from ofar_tf.devices.distribution import LostProcessError
        from ofar_tf.devices.processors import share_cores
        from ofar_tf.run.config_file import read_config
        from ofar_tf.run.look_ahead import look_ahead
        from ofar_tf.run.run_dir import RunDir
        from ofar_tf.run.training_run import prepare
        from ofar_tf.training.callbacks import DivergenceError
        from ofar_tf.training.preemption import PreemptedError
    with flags.one_line_errors():
        if config.only_looks:
            look_ahead(config)
            return 0
        share_cores()
        run = prepare(config)
    if run is None:
        print(f"The run in {config.run_dir} is finished; nothing was changed.")
    else:
        try:
            with atomic_file.room_for(f"the run in {config.run_dir}"):
                run.train()
        except (DivergenceError, LostProcessError, DamagedImageError) as error:
            raise SystemExit(f"Error: {error}") from None
        except PreemptedError as error:
            print(error, file=sys.stderr)
            return error.status
        except atomic_file.NoRoomError as error:
            raise SystemExit(f"Error: {error} Make room: the same command goes on from the last checkpoint.") from None
    moved = None if config.data_dir == read_config(RunDir(Path(config.run_dir)).config).data_dir else config.data_dir
    print(f"Next: {command_line('evaluate', run_dir=config.run_dir, data_dir=moved)}")
    return 0


if __name__ == "__main__":
    flags.run(main, TrainConfig, warns=True)
