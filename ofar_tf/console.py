"""The console scripts: each runs its command as `python -m` does, so that absl's `--help` lists the command's flags."""

import runpy


def train() -> None:
    """Runs `ofar-train`."""
    _run("train")


def evaluate() -> None:
    """Runs `ofar-evaluate`."""
    _run("evaluate")


def export() -> None:
    """Runs `ofar-export`."""
    _run("export")


def select() -> None:
    """Runs `ofar-select`."""
    _run("select")


def package() -> None:
    """Runs `ofar-package`."""
    _run("package")


def run_matrix() -> None:
    """Runs `ofar-run-matrix`."""
    _run("run_matrix")


def _run(command: str) -> None:
    # Behind a plain entry point the running module would be the script, whose flags are none.
    runpy.run_module(f"ofar_tf.{command}", run_name="__main__", alter_sys=True)
