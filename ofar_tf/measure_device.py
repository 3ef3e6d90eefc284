"""Times random structures of a network on this machine, or on a phone, and writes what predicts the others' latency.

ofar measure_device --model=mobilenet_v2 --resolutions=224,192 --output=device.json
"""

import shlex
from pathlib import Path

from ofar_tf import flags
from ofar_tf.files import atomic_file
from ofar_tf.run.device.device_config import DeviceConfig
from ofar_tf.text.command_line import command_line
from ofar_tf.text.quiet import quiet_start


def main(config: DeviceConfig) -> None:
    """Runs the command."""
    with quiet_start():
        from ofar_tf.files.file_names import readable
        from ofar_tf.models.keras_settings import use_standard_keras
        from ofar_tf.run.device.measured_device import measure_here, read_phone_folder, write_phone_folder
        from ofar_tf.run.device.timed_structures import read_structures
    use_standard_keras()
    try:
        with flags.one_line_errors():
            if config.phone_dir:
                print(f"On a connected phone:\n{write_phone_folder(config)}", end="")
                return
            output = Path(str(config.output))
            if output.exists():
                raise ValueError(f"Expected a new --output. Received: {output}, which exists.")
            atomic_file.require_writable(output.parent, name="a folder of --output")
            folder = Path(config.read) if config.read else None
            predictor = read_phone_folder(folder, threads=config.threads) if folder else measure_here(config)
            predictor.write(output)
    except atomic_file.NoRoomError as error:
        raise SystemExit(f"Error: {error} Make room, and repeat the command.") from None
    least, most = predictor.measured_ms
    print(f"{predictor.place}: {least:.3g} to {most:.3g} ms.")
    print(f"Predictions of structures that were left out were {predictor.error}.")
    network = read_structures(folder).flags if folder else config.network
    named = " ".join(shlex.quote(readable(flag)) for flag in network) or "--model=..."
    told = shlex.quote(f"--device={output}")
    print(f"Next: {command_line('train')} {named} --budget_unit=ms {told} --budgets=...")


if __name__ == "__main__":
    flags.run(main, DeviceConfig)
