"""What a converge asked of its host is asked again by one script: all of it, in few processes."""

import json
import subprocess

import pytest

from corral.node.questions import SCRIPTS, script
from tasks.lib import notes
from tests.shared.roles import Declared


def noted(*questions):
    return [json.dumps({"script": name, "arguments": arguments}) for name, *arguments in questions]


def answer(text):
    return subprocess.run(["sh", "-c", text], capture_output=True, text=True, timeout=30).stdout


def test_files_of_many_questions_are_asked_for_at_once_and_none_is_lost(tmp_path):
    paths = [str(tmp_path / name) for name in ("one", "two", "the third")]
    for path in paths:
        (tmp_path / path).write_text("as it was")
    (tmp_path / "purged").mkdir()
    asked = [("files_state.sh", paths[0]), ("files_state.sh", *paths[1:], f"{tmp_path}/purged/")]
    text = script(noted(*asked))
    assert text.count("\nset -- ") == 1
    seen = [answer(text)]
    (tmp_path / "purged/stranger").touch()
    seen.append(answer(text))
    for path in paths:
        (tmp_path / path).write_text("otherwise")
        seen.append(answer(text))
    (tmp_path / "one").unlink()
    seen.append(answer(text))
    assert len(set(seen)) == len(paths) + 3


def test_units_are_asked_for_at_once_by_each_directory_of_marks(tmp_path):
    questions = [
        ("services_state.sh", "/run/one", "a.service", ""),
        ("services_state.sh", "/run/one", "b.service", "false"),
        ("services_state.sh", "/run/other", "c.service", ""),
    ]
    text = script(noted(*questions))
    assert [line for line in text.splitlines() if line.startswith("set -- /run")] == [
        "set -- /run/one a.service '' b.service false",
        "set -- /run/other c.service ''",
    ]


def test_all_other_questions_are_asked_one_by_one_in_their_order(tmp_path):
    for name in ("first", "last"):
        (tmp_path / f"{name}_state.sh").write_text(f'echo {name} "$@"; exit 1')
    text = script(noted(("first_state.sh", "a b"), ("last_state.sh",), ("first_state.sh", "c")), tmp_path)
    assert answer(text) == "first a b\nlast\nfirst c\n"


@pytest.mark.parametrize("role", ["app", "db", "elk", "release"])
def test_what_a_role_asks_is_sound_shell(tmp_path, monkeypatch, role):
    monkeypatch.setenv(notes.VARIABLE, str(tmp_path))
    monkeypatch.setattr(notes, "_noted", set())
    declared = Declared(role)
    text = script((tmp_path / "questions").read_text().splitlines())
    subprocess.run(["sh", "-n", "-c", text], check=True)
    for path in (path for entries in declared.files.values() for path in entries):
        assert path in text
    asked = [line for line in text.splitlines() if line.startswith("set -- ")]
    assert 3 <= len(asked) <= 8
    assert {path.name for path in SCRIPTS.glob("*_state.sh")} >= {"files_state.sh", "services_state.sh"}
