import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ofar_tf.run import environment


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts the module into a project of some name, below a folder, and commits what is not ignored."""

    def make(project: str | None, folder: str, *, ignored: str = "") -> Path:
        package = tmp_path / folder
        (package / "run").mkdir(parents=True)
        shutil.copy(environment.__file__, package / "run" / "environment.py")
        if project:
            (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "{project}"\n')
        (tmp_path / ".gitignore").write_text(ignored)
        git(tmp_path, "init")
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-m", "first")
        monkeypatch.setattr(environment, "__file__", str(package / "run" / "environment.py"))
        return tmp_path

    return make


def test_the_commit_is_that_of_our_own_checkout(place) -> None:
    root = place("ofar-tf", "ofar_tf")
    commit = environment.git_commit()
    assert commit is not None and len(commit) == 40
    (root / "ofar_tf" / "run" / "environment.py").write_text("changed")
    assert environment.git_commit() == f"{commit}-dirty"


@pytest.mark.parametrize(
    ("project", "folder", "ignored"),
    [
        ("shop", ".venv/lib/python3.11/site-packages/ofar_tf", ".venv\n"),
        ("shop", ".venv/lib/python3.11/site-packages/ofar_tf", ""),
        ("shop", "third_party/ofar_tf", ""),
        (None, "ofar_tf", ""),
        ("ofar-tf", ".venv/lib/python3.11/site-packages/ofar_tf", ".venv\n"),
    ],
)
def test_the_commit_of_a_project_that_only_uses_us_is_not_ours(place, project, folder, ignored) -> None:
    place(project, folder, ignored=ignored)
    assert environment.git_commit() is None


def test_a_repository_that_a_git_hook_names_is_not_ours(place, tmp_path, monkeypatch) -> None:
    place("ofar-tf", "ofar_tf")
    expected = environment.git_commit()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "none"))
    assert environment.git_commit() == expected


def test_without_git_there_is_no_commit(monkeypatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    assert environment.git_commit() is None


def test_a_damaged_list_of_sessions_is_begun_anew(tmp_path) -> None:
    path = tmp_path / "environment.json"
    for content in ("[" * 100_000, "{}", "\0"):
        path.write_text(content)
        assert environment._sessions(path) == []
