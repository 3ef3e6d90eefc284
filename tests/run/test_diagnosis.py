import importlib.metadata
import json
import os
import subprocess
import sys
from collections import namedtuple

import pytest

from ofar_tf.run import diagnosis


def problems(findings):
    return [finding.text for finding in findings if finding.problem]


def test_this_machine_is_well():
    assert problems(diagnosis._packages()) == []
    assert problems(diagnosis._python()) == []


def test_what_does_not_fit_is_marked(monkeypatch):
    real = importlib.metadata.version
    changed = {"keras": "3.1.0", "rich": None, "mediapipe": "1.2.0", "tensorflow-cpu": "2.21.0"}

    def version(name):
        if name not in changed:
            return real(name)
        if changed[name] is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return changed[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert problems(diagnosis._packages()) == [
        "keras 3.1.0; expected >=3.15",
        "rich is missing; expected rich>=13.0",
        "mediapipe needs absl-py 2, and this package 1.4: give it an environment of its own",
        "tensorflow-cpu and tensorflow overwrite each other: keep tensorflow",
    ]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, []),
        ({"KERAS_BACKEND": "tensorflow", "TF_USE_LEGACY_KERAS": "0"}, []),
        ({"KERAS_BACKEND": "jax"}, ["KERAS_BACKEND=jax: notebooks need tensorflow, or no such variable"]),
        (
            {"TF_USE_LEGACY_KERAS": "1"},
            ["TF_USE_LEGACY_KERAS is set, which turns tf.keras into Keras 2: unset it"],
        ),
    ],
)
def test_variables_that_break_things_are_marked(variables, expected):
    assert problems(diagnosis._environment(variables)) == expected


def test_secrets_of_other_programs_are_not_printed():
    assert list(diagnosis._environment({"AWS_SECRET": "x", "PATH": "/bin"})) == []


def test_a_full_disk_is_marked(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(10, 9, 1_000_000))
    assert len(problems(diagnosis._disk())) == 2


def test_a_gpu_that_nothing_uses_is_marked(monkeypatch):
    monkeypatch.setattr("ofar_tf.devices.accelerators.unused_gpu", lambda: "there is a GPU")
    assert problems(diagnosis._devices()) == ["there is a GPU"]


def test_the_command_prints_findings_and_no_noise_of_tensorflow():
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-m", "ofar_tf.doctor", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.stderr == ""
    found = json.loads(ended.stdout)
    assert {"python", "packages", "disk", "devices", "tools"} <= {finding["topic"] for finding in found}
    assert ended.returncode == int(any(finding["problem"] for finding in found))
