"""The modules that a network's own layers come from: remembered with a run, imported wherever its files are read."""

import hashlib
import importlib
import importlib.util
import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from ofar_tf.models.unregistered_code import make_known, unregistered
from ofar_tf.models.user_code import is_library, module_name_of, one_line

# How processes that this one starts are told.
_ANNOUNCED = "OFAR_TF_USER_MODULES"


@dataclass(frozen=True)
class UserModule:
    """A module of the user's.

    Attributes:
        name: What it is imported as: `package.module`.
        path: The absolute path of its file.
        sha256: Of the file.
        unregistered: What Keras finds there only if it is told, see `ofar_tf.models.unregistered_code`.
    """

    name: str
    path: str
    sha256: str
    unregistered: tuple[str, ...] = ()

    def load(self) -> None:
        """Imports the module, from where it was or from where Python finds it now.

        Raises:
            ValueError: If it is not the one that was remembered, is not there or cannot be imported.
        """
        if self.name not in sys.modules:
            self._import()
        file = getattr(sys.modules[self.name], "__file__", None)
        if file is None or _sha256(Path(file)) != self.sha256:
            raise ValueError(f"{self._expected} Received: {file}, which differs.")
        defined = vars(sys.modules[self.name])
        make_known({name: defined[name] for name in self.unregistered if name in defined})

    @property
    def _expected(self) -> str:
        return (
            f"Expected the module {self.name} as it was when the run began, in {self.path} or where Python finds it "
            f"(SHA-256 {self.sha256[:12]}...)."
        )

    def _import(self) -> None:
        path = Path(self.path)
        if _sha256(path) == self.sha256:
            # Python finds it there, and what it imports beside it, now or later.
            package = path.name == "__init__.py"
            sys.path.insert(0, str(path.parents[self.name.count(".") + package]))
        elif str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        try:
            importlib.import_module(self.name)
        except (Exception, SystemExit) as error:  # Importing runs the user's code, which may raise anything.
            gone = isinstance(error, ModuleNotFoundError) and error.name == self.name and path.exists()
            reason = f"{path}, which differs." if gone else one_line(error)
            raise ValueError(f"{self._expected} Received: {reason}") from error


@dataclass(frozen=True)
class UserModules:
    """What of the user's code a network needs to be read from a file.

    Attributes:
        modules: The modules that its layers and functions come from.
        lambdas: Whether it has Lambda layers of nameless functions, which the user's module allowed.
    """

    modules: tuple[UserModule, ...] = ()
    lambdas: bool = False

    def load(self) -> None:
        """Imports the modules, here and, when they read a network, in the processes that this one will start.

        Raises:
            ValueError: If one is not the one that was remembered, or nobody of this machine allowed Lambda layers.
        """
        for module in self.modules:
            module.load()
        if self.lambdas:
            if not self.modules:
                raise ValueError("Expected the module that allowed Lambda layers. Received: none.")
            keras.config.enable_unsafe_deserialization()
        if self.modules:
            os.environ[_ANNOUNCED] = json.dumps(asdict(self))


def load_announced() -> None:
    """Imports what `UserModules.load` imported in the process that started this one, if anything."""
    if _ANNOUNCED in os.environ:
        announced = json.loads(os.environ[_ANNOUNCED])
        UserModules(tuple(UserModule(**each) for each in announced["modules"]), announced["lambdas"]).load()


def user_modules_of(model: keras.Model, reference: str) -> UserModules:
    """Finds out which modules of the user's a network needs.

    Args:
        model: The network.
        reference: What `--model` says: where it names a function, the module of that may have allowed Lambda layers.

    Returns:
        Nothing, for a network of stock layers, whoever built it.

    Raises:
        ValueError: If Keras cannot write the network down, or a layer comes from where nothing can be imported.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of Lambda layers; they are seen to here.
        try:
            config = keras.saving.serialize_keras_object(model)
        except Exception as error:  # A layer's own get_config may raise anything.
            raise ValueError(
                f"Expected layers that Keras can save, by a get_config of their own. Received: {one_line(error)}"
            ) from error
    found = list(_objects(config))
    lambdas = any(kind == "__lambda__" for _, kind in found)
    own = unregistered(model)
    found += [(each.__module__, each.__name__) for each in own.values()]
    names = {name for module, kind in found for name in _with_bases(module, kind)}
    if lambdas and ":" in reference:
        names.add(module_name_of(reference))
    return UserModules(tuple(_remembered(name, own) for name in sorted(names)), lambdas)


def _objects(config: Any) -> Iterator[tuple[str, str]]:
    """Yields (module, name) of every class and function that a serialized object is made of."""
    if isinstance(config, dict):
        if isinstance(kind := config.get("class_name"), str):
            named = kind == "function" and isinstance(config.get("config"), str)
            yield config.get("module") or "", config["config"] if named else kind
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, (list, tuple)):
        for value in config:
            yield from _objects(value)
    elif isinstance(config, str) and (found := keras.saving.get_registered_object(config)) is not None:
        yield found.__module__, found.__name__  # Where only a function can stand, its registered name is all there is.


def _with_bases(module: str, kind: str) -> Iterator[str]:
    """Yields a module of the user's, and those of the classes that its class is derived from."""
    if is_library(module):
        return
    found = getattr(sys.modules.get(module), kind, None)
    if found is None:
        raise ValueError(
            "Expected layers and functions that stand at the top of their module, where a file that names them finds "
            f"them. Received: {kind} of {module}."
        )
    bases = [base.__module__ for base in found.__mro__] if isinstance(found, type) else []
    yield from (name for name in (module, *bases) if not is_library(name))


def _remembered(name: str, own: Mapping[str, Any]) -> UserModule:
    file = getattr(sys.modules.get(name), "__file__", None)
    if name == "__main__" or file is None:
        raise ValueError(f"Expected layers from modules that can be imported. Received: one from {name}.")
    path = Path(file).resolve()
    untold = tuple(sorted(key for key, each in own.items() if each.__module__ == name))
    return UserModule(name, str(path), _sha256(path) or "", untold)


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
