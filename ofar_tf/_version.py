"""The version of this package, known to every room and importing none."""

__version__ = "0.2.0.dev0"
