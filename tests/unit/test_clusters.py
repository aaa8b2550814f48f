"""Where a database must not be made: each refusal leaves everything as it is. Real ones are in tests/lab."""

import subprocess

import pytest

from tasks.lib.shell import command_line

DIRECTORY = "/srv/data/postgresql/17/main"
# Folders of nobody else, in namespaces of the test's own. What the script would start would write here.
PLACES = "for place in /etc /srv /var/lib; do mount -t tmpfs tmpfs $place; done"


def run(script, *arguments, before=""):
    """The finished script, and all paths that are there then."""
    steps = [PLACES, before, "(", command_line(script, *arguments), ") >/dev/null", "code=$?"]
    done = subprocess.run(
        [
            "unshare",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            "\n".join([*steps, "find /etc /srv /var/lib", "exit $code"]),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done, set(done.stdout.split())


def database(directory, version="17"):
    return f"mkdir -p {directory} && echo {version} >{directory}/PG_VERSION"


def configured(directory):
    conf, line = (
        "/etc/postgresql/17/main",
        f"data_directory = '{directory}'\t\t# use data in another directory",
    )
    return f'mkdir -p {conf} && echo "{line}" >{conf}/postgresql.conf'


REFUSALS = {
    "no volume": (
        "mkdir /srv/data",
        "/srv/data",
        "no volume is mounted at /srv/data, so there is no database to serve, and none is made in its place",
    ),
    "made by Debian's package": (
        f"{database('/var/lib/postgresql/17/main')} && {configured('/var/lib/postgresql/17/main')}",
        "",
        f"this host's database is in /var/lib/postgresql/17/main, and shall be in {DIRECTORY}. Nothing was",
    ),
    "somewhere else": (
        f"{database('/srv/old')} && {configured('/srv/old')} && {database(DIRECTORY)}",
        "",
        "this host's database is in /srv/old",
    ),
    "left without a configuration": (
        database("/var/lib/postgresql/17/main"),
        "",
        "this host's database is in /var/lib/postgresql/17/main",
    ),
    "another version on the volume": (
        database("/srv/data/postgresql/16/main", "16"),
        "",
        f"a database in /srv/data/postgresql/16/main, which a new one in {DIRECTORY} would hide",
    ),
    "half moved": (
        database("/srv/data/postgresql/17/main.copy"),
        "",
        "a database in /srv/data/postgresql/17/main.copy",
    ),
    "another version in its place": (
        database(DIRECTORY, "16"),
        "",
        f"the database in {DIRECTORY} is of version 16, and this host's server of version 17",
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_database_is_never_left_behind_hidden_or_made_in_place_of_one_that_is_missing(kind):
    before, mount, said = REFUSALS[kind]
    _, there = run("cluster_state.sh", "17", DIRECTORY, before=before)
    done, left = run("cluster_apply.sh", "17", DIRECTORY, mount, before=before)
    assert done.returncode == 1
    assert done.stderr.startswith("corral: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert said in done.stderr
    assert "docs/data.md" in done.stderr
    assert left == there
