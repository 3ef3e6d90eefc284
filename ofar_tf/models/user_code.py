"""Calling the function that builds a user's model."""

import contextlib
import inspect
import itertools
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ofar_tf.models.precision import keras_settings_restored

_LIBRARIES = ("keras", "tensorflow", "ofar_tf", "numpy", "builtins")
# The user's code may raise what it likes, and `sys.exit` in it would end the command without a word. The cause stays
# chained.
_ANYTHING = (Exception, SystemExit)


def call_function(
    reference: str, *, classes: int, width_multiplier: float, small_images: bool, new_head: bool = False
) -> Any:
    """Imports a user's function, with the current directory searched first, and calls it.

    Args:
        reference: `package.module:function`, or `path/file.py:function`, which can import what stands
            beside it.
        classes: Number of classes, passed as `classes=`.
        width_multiplier: Passed if it is not 1, to a function that must then have this parameter.
        small_images: Passed to a function that has this parameter.
        new_head: Whether the head is replaced anyway, so that a function without the parameter `classes` will do.

    Returns:
        What the function returned.

    Raises:
        ValueError: If the function cannot be imported, cannot take these arguments, or fails.
    """
    with _importable(Path.cwd()), keras_settings_restored():
        function = _imported(reference)
        parameters = inspect.signature(function).parameters
        if not new_head and not _takes("classes", parameters):
            raise ValueError(
                f"Expected {reference} to have a parameter classes. Received: {inspect.signature(function)}."
            )
        arguments: dict[str, Any] = {"classes": classes} if _takes("classes", parameters) else {}
        if width_multiplier != 1:
            if not _takes("width_multiplier", parameters):
                raise ValueError(
                    f"Expected width_multiplier=1 for {reference}, which has no such parameter. "
                    f"Received: width_multiplier={width_multiplier}."
                )
            arguments["width_multiplier"] = width_multiplier
        if _takes("small_images", parameters):
            arguments["small_images"] = small_images
        try:
            return function(**arguments)
        except _ANYTHING as error:
            raise ValueError(f"Expected {reference} to build a model. Received: {one_line(error)}") from error


def module_name_of(reference: str) -> str:
    """Returns the name by which Python imports the module of a reference such as `net.py:build` or `package.net:build`.

    Args:
        reference: See `call_function`.
    """
    module = reference.rpartition(":")[0]
    return _name_of(Path(module)) if module.endswith(".py") else module


def _imported(reference: str) -> Any:
    module_name, _, function_name = reference.rpartition(":")
    try:
        module = _module_of_file(Path(module_name)) if module_name.endswith(".py") else import_module(module_name)
    except _ANYTHING as error:
        raise ValueError(f"Expected {module_name!r} to be an importable module. Received: {one_line(error)}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ValueError(f"Expected a function {function_name!r} in {module_name}. Received: {reference}.")
    return function


def _module_of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    with _importable(path.resolve().parents[len(_packages_of(path))]):
        module = import_module(_name_of(path))
    if Path(module.__file__ or "").resolve() != path.resolve():
        raise ImportError(f"{module.__name__} is another module, {module.__file__}; give the file another name")
    return module


def _name_of(path: Path) -> str:
    """Returns what a file is imported as: its name, after those of the packages that it is in."""
    packages = [folder.name for folder in reversed(_packages_of(path))]
    return ".".join(packages if path.name == "__init__.py" else [*packages, path.stem])


def _packages_of(path: Path) -> list[Path]:
    """Returns the folders of the packages that a file is in, the innermost first."""
    return list(itertools.takewhile(lambda folder: (folder / "__init__.py").is_file(), path.resolve().parents))


def _takes(name: str, parameters: Any) -> bool:
    return name in parameters or any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # The user's code may have removed it.
            sys.path.remove(str(folder))


def is_library(module: str | None) -> bool:
    """Tells whether a module is of Keras, of this package or of what they stand on, or no module at all.

    Args:
        module: Its whole name, as `__module__` has it.
    """
    return not module or module.partition(".")[0] in _LIBRARIES


def one_line(error: BaseException) -> str:
    """Shortens an exception to its type and the first line of its message, or of what Keras passes on in it.

    Args:
        error: Any exception.

    Returns:
        Text without line breaks, such as `KeyError: 'x'`.
    """
    lines = _cause(str(error)).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _cause(text: str) -> str:
    """Returns what Keras was told, of a text in which it says first where that was and last with what configuration."""
    told = re.search(r"\x1b\[1m(.+?)\x1b\[0m", text, re.DOTALL)
    cause = told[1] if told else text.rpartition("Exception encountered: ")[2]
    return cause.partition(" Full object config: ")[0]
