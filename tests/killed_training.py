"""Trains one run again and again, each time ended at another moment; started by `test_training_run`, not by pytest.

python killed_training.py SETTINGS_AS_JSON MOMENT [MOMENT ...]

A moment is the name of a function below, with its argument behind a colon if it has one.
"""

import errno
import gc
import json
import os
import resource
import sys
from pathlib import Path

import keras
import numpy as np
from sudden_death import die, die_at_random, end_of

from ofar_tf import train
from ofar_tf.run.train_config import TrainConfig
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.checkpoints import Checkpoints


def within_the_first_epoch():
    MaskSearch.on_train_batch_end = lambda self, batch, logs=None: batch == 1 and die()


def between_pool_and_checkpoint():
    save = Checkpoints.save
    Checkpoints.save = lambda self, epoch, state: die() if epoch == 2 else save(self, epoch, state)


def while_a_checkpoint_is_written():
    write = np.savez

    def write_half(path, **arrays):
        write(path, **arrays)
        if path.name == "epoch_00003.npz":
            os.truncate(path, path.stat().st_size // 2)
            die()

    np.savez = write_half


def while_the_supernet_is_saved():
    save = keras.Model.save
    # Not while it is only tried whether it can be saved.
    keras.Model.save = lambda self, path: (save(self, path), Path(path).name == "supernet.keras" and die())


def at_random(seed):
    # A whole run does three times as many operations: most attempts get on, few reach the end.
    die_at_random(int(seed), RUN_DIR, operations=70, seconds=2)


def when_no_file_may_be_larger(size):
    """Ends with the system's own error, after part of the file was written."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))


def when_the_disk_is_full(name):
    """Ends with the error of a full disk where a file of that name is opened to be written."""

    def refuse(event, arguments):
        if event == "open" and Path(str(arguments[0])).name == name and arguments[2] & os.O_ACCMODE != os.O_RDONLY:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    sys.addaudithook(refuse)


def at_no_time():
    pass


def attempt(settings, moment):
    name, _, argument = moment.partition(":")
    globals()[name](*[argument] if argument else [])
    train.main(TrainConfig(**settings))


if __name__ == "__main__":
    gc.set_threshold(100_000, 50, 100)  # As in commands.
    SETTINGS = {
        name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(sys.argv[1]).items()
    }
    RUN_DIR = SETTINGS["run_dir"]
    for given in sys.argv[2:]:
        print(f"{given}: {end_of(lambda given=given: attempt(SETTINGS, given))}", flush=True)
