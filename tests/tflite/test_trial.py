import subprocess

import pytest

from ofar_tf.tflite import trial


def test_a_sound_file_is_tried_in_silence(converted, capfd):
    file = converted("int8")
    capfd.readouterr()  # The converter says what it does, if this is the first test that needs the file.
    trial.try_file(file)
    assert capfd.readouterr() == ("", "")


def test_a_file_that_crashes_is_refused(converted, monkeypatch):
    monkeypatch.setattr(trial, "_PROGRAM", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(ValueError, match=r"Received: .*: LiteRT crashes on it\.$"):
        trial.try_file(converted("int8"))


def test_a_file_that_never_ends_is_refused(converted, monkeypatch):
    monkeypatch.setattr(trial, "_SECONDS", 0.5)
    monkeypatch.setattr(trial, "_PROGRAM", "while True: pass")
    with pytest.raises(ValueError, match=r"Received: .*, for over 0\.5 s\.$") as caught:
        trial.try_file(converted("int8"))
    assert isinstance(caught.value.__cause__, subprocess.TimeoutExpired)
