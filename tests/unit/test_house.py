"""The rules of the house (CONTRIBUTING.md), each as a test."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.shared.imports import ROOT, imported_by, within

TRACKED = subprocess.run(
    ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True
).stdout.splitlines()
PYTHON = sorted(path for path in TRACKED if path.endswith(".py") and (ROOT / path).exists())
MODULES = [path for path in PYTHON if path.split("/")[0] in {"corral", "lab", "tasks", "inventory", "bench"}]


@pytest.mark.parametrize("path", [p for p in PYTHON if p.startswith("tasks/") or p == "deploy.py"])
def test_tasks_import_pyinfra_and_plain_data_only(path):
    forbidden = {
        name for name in imported_by(path) if within(name, "boto3", "botocore", "moto", "lab", "corral")
    }
    assert not forbidden


@pytest.mark.parametrize("path", [p for p in PYTHON if not p.startswith(("lab/", "tests/"))])
def test_nobody_imports_the_lab(path):
    assert not {name for name in imported_by(path) if within(name, "lab", "moto")}


@pytest.mark.parametrize("path", [p for p in PYTHON if p.startswith("corral/stack/")])
def test_the_stack_is_pure(path):
    talks = {"boto3", "botocore", "corral.aws", "subprocess", "socket", "requests", "urllib", "click"}
    assert not {name for name in imported_by(path) if within(name, *talks)}


@pytest.mark.parametrize("path", [p for p in PYTHON if p.startswith(("tests/unit/", "tests/shared/"))])
def test_unit_tests_take_nothing_from_those_with_real_processes(path):
    slow = {"tests.local", "tests.lab", "moto.server", "lab.cloud.server"}
    assert not {name for name in imported_by(path) if within(name, *slow)}


@pytest.mark.parametrize("path", [p for p in PYTHON if p.startswith("tests/")])
def test_no_test_is_lost_to_another_of_its_name(path):
    """What ruff's F811 would say; it is off in tests, for there fixtures are imported and named again."""
    body = ast.parse((ROOT / path).read_text()).body
    names = [each.name for each in body if isinstance(each, ast.FunctionDef | ast.ClassDef)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "path",
    [
        p
        for p in TRACKED
        if p.startswith(("tasks/", "corral/", "templates/", "files/", "inventory/", "deploy.py"))
    ],
)
def test_a_difference_between_environments_is_a_named_setting(path):
    compares = re.compile(r"environment\s*(==|!=|in)\s*[\[({]?\s*['\"]", re.IGNORECASE)
    assert not compares.search((ROOT / path).read_text(errors="replace"))


@pytest.mark.parametrize("path", [p for p in MODULES if Path(p).name != "__init__.py"])
def test_a_module_is_short_and_says_what_it_is_for(path):
    source = (ROOT / path).read_text()
    assert ast.get_docstring(ast.parse(source)), "the first line says what the module is for"
    assert len(source.splitlines()) <= 220, "is there a seam to split it at?"


@pytest.mark.parametrize(
    "path", [p for p in TRACKED if re.search(r"(requirements/.*\.txt|package-lock\.json|\.npmrc)$", p)]
)
def test_no_lock_file_names_where_packages_come_from(path):
    assert not re.search(
        r"https?://(?!opencollective|github\.com/sponsors|www\.patreon)",
        re.sub(r'"(url|funding)": "[^"]*"', "", (ROOT / path).read_text()),
    ), path


def test_every_python_package_is_pinned_with_a_hash():
    for lock in ("run.txt", "node.txt", "dev.txt"):
        text = (ROOT / "requirements" / lock).read_text().replace("\\\n", " ")
        requirements = [line for line in text.splitlines() if line and line[0].isalnum()]
        assert len(requirements) > 10
        assert not [line for line in requirements if "==" not in line or "--hash=sha256:" not in line]


def test_every_page_that_is_named_exists():
    named = {
        (path, page)
        for path in TRACKED
        if (ROOT / path).suffix in {".py", ".md", ".sh", ".toml", ".j2"}
        or path in {"Makefile", "Vagrantfile"}
        for page in re.findall(r"docs/[a-z-]+\.md", (ROOT / path).read_text(errors="replace"))
    }
    assert named
    assert not {(path, page) for path, page in named if not (ROOT / page).exists()}
