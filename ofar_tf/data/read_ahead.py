"""Batches that are made while others are used, and pipelines that end when they are told to."""

import tensorflow as tf

from ofar_tf.devices.processors import usable_cores


def untuned(data: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a data set without the thread in which TensorFlow looks for better settings of it.

    That thread sleeps ever longer, up to a minute, and sometimes misses that its iterator is deleted; whoever deletes
    it, at the end of `fit` or of a pass over the images, then waits until it wakes (TensorFlow 2.21: the thread is
    called before the flag is set that it looks for). What it would find is known: as many calls at once as there are
    cores.

    Args:
        data: The data set.

    Returns:
        The same elements; a data set whose options say themselves whether it is tuned stays as it is.
    """
    if data.options().autotune.enabled is not None:
        return data
    options = tf.data.Options()
    options.autotune.enabled = False
    options.autotune.initial_parallelism = usable_cores()
    return data.with_options(options)


def read_ahead(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Returns batches of which the next two are made while one is used, untuned.

    Args:
        batches: The batches.
    """
    return untuned(batches.prefetch(2))
