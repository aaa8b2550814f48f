"""The command: groups are found when called, `-e` goes before or after the verb, errors are sentences."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert run.stderr.startswith("corral: There are no AWS credentials")


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
    assert run.stderr.startswith("corral: The AWS API can't be reached")


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
