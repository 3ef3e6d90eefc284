"""The network of some jobs, read and made ready to be converted; for `ofar_tf.conversion.worker`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import keras

from ofar_tf.conversion.converter import saved_network
from ofar_tf.conversion.jobs import ConversionJob
from ofar_tf.conversion.network_parts import in_parts
from ofar_tf.models.keras_settings import use_standard_keras
from ofar_tf.models.user_model import read_file

Prepare = Callable[[keras.Model, ConversionJob], AbstractContextManager[Callable[[ConversionJob], bytes]]]
"""Makes a network, and one of its jobs, into what converts all of them."""


@contextmanager
def plainly(model: keras.Model, job: ConversionJob) -> Iterator[Callable[[ConversionJob], bytes]]:
    """Makes a network ready without fine-tuning: in parts where jobs ask for several outputs in floats."""
    if job.float_outputs:
        with in_parts(model) as convert_job:
            yield convert_job
        return
    with saved_network(model, output_name=job.output_name) as network:
        yield lambda job: network.converted(
            job.precision, representative_images=job.load_images(), mixed_algorithm=job.mixed_algorithm
        )


@contextmanager
def open_network(
    jobs: Sequence[ConversionJob], *, prepare: Prepare = plainly
) -> Iterator[Callable[[ConversionJob], bytes]]:
    """Reads the network of some jobs.

    Args:
        jobs: Jobs of one `.keras` file.
        prepare: How they are converted; by default without fine-tuning.

    Yields:
        What makes the content of the file of each job.
    """
    use_standard_keras()
    # Names that Keras has given to earlier networks of this process would be counted on.
    keras.backend.clear_session()
    with prepare(read_file(str(jobs[0].keras_path)), jobs[0]) as convert_job:
        yield convert_job
