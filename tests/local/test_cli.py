"""The command: groups are found when called, `-e` goes before or after the verb, errors are sentences."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from corral.settings import load
from corral.stack import render

CORRAL = Path(sys.executable).parent / "corral"


def corral(*words, **environment):
    return subprocess.run(
        [CORRAL, *words],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["stack", "render", "-e", "lab"], {}),
        (["-e", "lab", "stack", "render"], {}),
        (["stack", "render"], {"CORRAL_ENV": "lab"}),
        (["-e", "test", "stack", "render", "-e", "lab"], {"CORRAL_ENV": "live"}),
    ],
)
def test_the_environment_is_chosen_before_or_after_the_verb_or_by_variable(words, environment):
    run = corral(*words, **environment)
    assert (run.returncode, run.stderr) == (0, "")
    assert '"chat-lab-app"' in run.stdout


def test_an_error_is_a_sentence_on_stderr_and_exit_code_1():
    run = corral("stack", "render", "-e", "nope")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("corral: There is no environments/nope.toml.\nChoose one of")
    assert run.stderr.endswith("Read more: docs/settings.md\n")


def test_no_credentials_is_a_sentence():
    run = corral("stack", "apply", "-e", "live", "-y")
    assert (run.returncode, run.stdout) == (1, "")
    assert "\ncorral: There are no AWS credentials" in run.stderr


def test_an_api_that_does_not_answer_is_a_sentence():
    run = corral(
        "stack",
        "apply",
        "-e",
        "live",
        "-y",
        AWS_ENDPOINT_URL="http://127.0.0.1:9",
        AWS_ACCESS_KEY_ID="a",
        AWS_SECRET_ACCESS_KEY="b",
    )
    assert run.returncode == 1
    assert "\ncorral: The AWS API can't be reached" in run.stderr


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["--branch", "feature-x"], {}),
        (["--branch", "Feature/X"], {}),
        (["--branch", "feature-x"], {"CORRAL_ENV": "live"}),
        (["-e", "branch/feature-x"], {"CORRAL_ENV": "live"}),
        (["-e", "branch", "--branch", "feature-x"], {}),
        (["--branch", "feature_x", "-e", "branch/Feature-X"], {}),
        ([], {"CORRAL_ENV": "branch/feature-x"}),
        (["--branch", "feature-x"], {"CORRAL_ENV": "branch/feature-y"}),
    ],
)
def test_the_environment_of_a_branch_has_many_spellings(words, environment):
    run = corral("stack", "render", *words, **environment)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == render(load("branch/feature-x"))


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["-e", "lab-branch", "--branch", "feature-x"], {}),
        (["--branch", "feature-x"], {"CORRAL_ENV": "lab-branch/feature-y"}),
    ],
)
def test_a_branch_may_be_made_from_another_file(words, environment):
    assert corral("stack", "render", *words, **environment).stdout == render(load("lab-branch/feature-x"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["-e", "branch/feature-x", "--branch", "feature-y"],
            "-e branch/feature-x and --branch feature-y are two branches.\nGive one of them.",
        ),
        (
            ["-e", "live", "--branch", "feature-x"],
            "No environments of branches are made from environments/live.toml.",
        ),
        (["--branch", "test"], "There is an environments/test.toml already."),
        (["--branch", "a-branch-of-a-long-name"], "Give a name that fits, such as --branch a-branch-of-a-l"),
        (["--branch", "42"], "Give a name that fits, such as --branch b-42"),
        (["--branch", ""], "'' gives '', which is no name for an environment"),
        (["-e", "branch/"], "'' gives '', which is no name for an environment"),
        (["-e", "nope", "--branch", "feature-x"], "There is no environments/nope.toml."),
    ],
)
def test_a_branch_that_is_none_is_a_sentence(words, sentence):
    run = corral("stack", "render", *words)
    assert (run.returncode, run.stdout) == (1, "")
    assert sentence in run.stderr


@pytest.mark.parametrize("command", ["render", "diff", "apply", "delete", "outputs", "expired", "cost"])
def test_every_command_of_the_stack_takes_a_branch(command):
    run = corral("stack", command, "--branch", "test")
    assert (run.returncode, run.stdout) == (1, "")
    assert "There is an environments/test.toml already." in run.stderr


def test_a_region_that_does_not_exist_is_a_sentence(tmp_path):
    """Nobody answers for a region that there is none of; here, because nobody answers at all."""
    code = """
from corral.cli import main
from corral.settings import load
from corral import settings
there = load("live").model_copy(update={"region": "eu-wset-1"})
settings.load = lambda name: there
main()
"""
    nobody = {"HTTPS_PROXY": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    run = subprocess.run(
        [sys.executable, "-c", code, "stack", "outputs", "-e", "live"],
        capture_output=True,
        text=True,
        env=os.environ | nobody,
    )
    assert run.returncode == 1
    assert "there is no region eu-wset-1. Did you mean eu-west-1?" in run.stderr


def test_what_an_environment_costs_is_a_table_or_json():
    table = corral("stack", "cost", "-e", "live").stdout
    assert [line.split()[-1] for line in table.splitlines() if line.split()[:2] == ["in", "all"]] == [
        "805.88"
    ]
    rows = json.loads(corral("stack", "cost", "-e", "live", "--json").stdout)
    assert sum(row["total"] for row in rows) == pytest.approx(805.88)


@pytest.mark.parametrize("words", [["render"], ["cost"], ["cost", "--json"]])
def test_output_that_cannot_be_written_is_a_sentence(words):
    with Path("/dev/full").open("w") as full:
        run = subprocess.run([CORRAL, "stack", *words], stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 1
    assert run.stderr.startswith("corral: The output can't be written: No space left on device.\n")
    assert "Traceback" not in run.stderr
    assert "Exception ignored" not in run.stderr


def test_a_command_that_is_none_is_refused():
    run = corral("stak")
    assert run.returncode == 2
    assert "No such command 'stak'" in run.stderr


def test_the_stack_needs_neither_the_lab_nor_releases_nor_aws():
    code = """
import sys
from corral.cli import corral
corral(["stack", "render", "-e", "lab"], standalone_mode=False)
print({name.split(".")[0] for name in sys.modules} & {"lab", "moto", "pyinfra"}, file=sys.stderr)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr == "set()\n"


def test_a_group_whose_modules_are_not_installed_is_a_sentence_and_the_others_work():
    code = """
import sys
sys.modules["lab"] = None  # as if it were not there
from corral.cli import main
sys.argv = ["corral", *sys.argv[1:]]
main()
"""
    absent, overview = (
        subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
        for words in (["lab", "up", "--fast"], ["--help"])
    )
    assert (absent.returncode, absent.stdout) == (1, "")
    assert absent.stderr.startswith("corral: corral lab needs the Python module lab")
    assert overview.returncode == 0
    assert "The environment's CloudFormation stack." in overview.stdout
