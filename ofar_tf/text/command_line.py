"""Commands as they are printed for people: what can be copied into a shell as it is."""

import shlex


def command_line(command: str, **flags: object) -> str:
    """Writes a command of this package with its flags, quoted for a shell.

    Args:
        command: Its name: `evaluate`.
        **flags: Values by the names of the flags; those that are `None` are left out.

    Returns:
        For instance `python -m ofar_tf.evaluate --run_dir='my runs/one'`.
    """
    given = [f"--{name}={shlex.quote(str(value))}" for name, value in flags.items() if value is not None]
    return " ".join(["python", "-m", f"ofar_tf.{command}", *given])
