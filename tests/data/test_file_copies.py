from ofar_tf.data.file_copies import copies_among


def test_files_of_the_same_content_are_found_and_only_they(tmp_path):
    contents = {
        "a": b"x" * 9000,
        "b": b"y" + b"x" * 8999,  # As long, and ends alike.
        "c": b"x" * 9000,
        "d": b"",
        "e": b"x" * 9001,
        "f": b"",
        "g": b"x" * 9000,
        "h": b"x" * 8999 + b"y",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    found = copies_among([tmp_path / name for name in contents])
    assert [[path.name for path in group] for group in found] == [["a", "c", "g"], ["d", "f"]]
    assert copies_among([]) == []
