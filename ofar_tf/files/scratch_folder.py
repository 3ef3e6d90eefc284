"""Folders for what nobody keeps."""

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from ofar_tf.files.atomic_file import room_for


def room_for_temporary_files() -> AbstractContextManager[None]:
    """See `room_for`, which this is for a block that writes temporary files."""
    return room_for(f"temporary files in {tempfile.gettempdir()}, or TMPDIR to name another place")


@contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """Makes a temporary folder that is gone after the block.

    Args:
        name: What it is for, one word.

    Yields:
        The folder.

    Raises:
        NoRoomError: If there is no room for what the block writes to it.
    """
    prefix = f"ofar_tf_{name}_"
    with room_for_temporary_files(), tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
