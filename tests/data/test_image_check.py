import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf

from ofar_tf.data import image_check, load_dataset


def test_bytes_after_the_end_of_a_readable_image_do_no_harm(plain):
    with (plain / "ant" / "000.png").open("ab") as file:
        file.write(b"trailing")
    assert load_dataset("image_folder", data_dir=plain).num_examples("all") == 70


@pytest.mark.parametrize("content", [b"", b"not an image", b"<html></html>" * 100], ids=["empty", "text", "html"])
def test_a_file_that_is_no_image_is_refused_by_name(plain, content):
    (plain / "cat" / "broken.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=r"^Expected a readable image. Received: .*cat/broken.jpg \("):
        load_dataset("image_folder", data_dir=plain)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC image, 24 bytes"),
        (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", "an AVIF image, 24 bytes"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "a video, 20 bytes"),
        (b"MM\0*\0\0\0\x08", "a TIFF image, 8 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS, 43 bytes"),
        (b"\n<!DOCTYPE html>", "a web page, 16 bytes"),
        (b"\xff\xd8\xff", "3 bytes"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_is_no_image_in_spite_of_its_name_is_said(plain, content, kind):
    (plain / "cat" / "photo.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=rf"Received: .*cat/photo.jpg \({kind}\)\.$"):
        load_dataset("image_folder", data_dir=plain)


def test_of_many_files_that_cannot_be_used_the_first_is_named_and_the_others_are_counted(plain):
    for name in ("ant/broken.jpg", "bee/broken.jpg", "cat/broken.jpg"):
        (plain / name).write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"Received: .*ant/broken.jpg \(12 bytes\), and 2 more such files\.$"):
        load_dataset("image_folder", data_dir=plain)
    for name in ("ant/1.heic", "cat/2.heic"):
        (plain / name).write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"Received: .*ant/1.heic, and 1 more such file\.$"):
        load_dataset("image_folder", data_dir=plain)


@pytest.mark.parametrize(("suffix", "encode"), [("jpg", tf.io.encode_jpeg), ("png", tf.io.encode_png)])
def test_a_truncated_image_is_refused_by_name(plain, suffix, encode):
    content = encode(np.full((6, 8, 3), 50, np.uint8)).numpy()
    (plain / "cat" / f"broken.{suffix}").write_bytes(content[:-20])
    with pytest.raises(ValueError, match=f"Received: .*cat/broken.{suffix}"):
        load_dataset("image_folder", data_dir=plain)


def png_of(width: int, height: int) -> bytes:
    """A PNG file that claims a size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IEND\xaeB`\x82"


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG file that claims a size."""
    return b"\xff\xd8\xff\xc0" + struct.pack(">HBHH", 17, 8, height, width) + b"\x03" + b"\0" * 9 + b"\xff\xd9"


@pytest.mark.parametrize(
    ("name", "content", "size"),
    [
        ("bomb.png", png_of(30_000, 30_000), "30000x30000"),
        ("bomb.png", png_of(2**31 - 1, 2**31 - 1), "2147483647x2147483647"),
        ("bomb.jpg", jpeg_of(65_000, 65_000), "65000x65000"),
        ("bomb.jpg", b"GIF89a" + struct.pack("<HH", 65_000, 65_000) + b";", "65000x65000"),
    ],
)
def test_an_image_too_large_to_decode_is_refused_by_its_header(plain, name, content, size):
    (plain / "bee" / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"Expected images of at most 178 million pixels .*bee/{name}, of {size}.$"):
        load_dataset("image_folder", data_dir=plain)


def test_a_large_folder_is_opened_once_and_again_only_where_it_changed(plain, one_png, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(image_check, "MANY", 10)
    opened = []
    check = image_check.check_image
    monkeypatch.setattr(image_check, "check_image", lambda path: opened.append(path) or check(path))

    def load():
        opened.clear()
        load_dataset("image_folder", data_dir=plain)
        return len(opened)

    assert (load(), load()) == (70, 0)
    (plain / "cat" / "new.png").write_bytes(one_png)
    assert (load(), load()) == (11, 0)
    (plain / "cat" / "new.png").write_bytes(b"broken")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"Expected a readable image"):
            load()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 3}', "\ud800"])
def test_a_memory_that_is_not_ours_is_no_memory(plain, tmp_path_factory, monkeypatch, content):
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(image_check, "MANY", 10)
    load_dataset("image_folder", data_dir=plain)
    (memory,) = (cache / "ofar_tf").iterdir()
    memory.write_bytes(content.encode("utf-8", "surrogatepass"))
    (plain / "cat" / "broken.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"Expected a readable image"):
        load_dataset("image_folder", data_dir=plain)


def test_where_nothing_can_be_remembered_everything_is_looked_at(plain, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(plain / "README"))
    (plain / "README").write_text("a file, no folder")
    monkeypatch.setattr(image_check, "MANY", 10)
    assert load_dataset("image_folder", data_dir=plain).num_examples("all") == 70


def test_small_folders_leave_nothing_behind(plain, tmp_path_factory, monkeypatch):
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    load_dataset("image_folder", data_dir=plain)
    assert list(cache.iterdir()) == []
