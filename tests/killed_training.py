"""Trains one run again and again, each time killed at another moment; started by `test_training_run`, not by pytest.

python killed_training.py SETTINGS_AS_JSON MOMENT [MOMENT ...]
"""

import json
import os
import signal
import sys

import keras
import numpy as np

from ofar_tf import training_run
from ofar_tf.config import TrainConfig
from ofar_tf.search.mask_search import MaskSearch
from ofar_tf.training.checkpoints import Checkpoints


def die():
    os.kill(os.getpid(), signal.SIGKILL)


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
    keras.Model.save = lambda self, path: (save(self, path), die())


def at_no_time():
    pass


def main(settings, moments):
    for moment in moments:
        # Forked before TensorFlow has done anything, so that it is imported once only.
        child = os.fork()
        if child == 0:
            globals()[moment]()
            training_run.prepare(TrainConfig(**settings)).train()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        print(f"{moment}: {'killed' if ended == signal.SIGKILL else ended}", flush=True)


if __name__ == "__main__":
    given = {
        name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(sys.argv[1]).items()
    }
    main(given, sys.argv[2:])
