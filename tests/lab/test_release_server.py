"""The release server: builds what was pushed to it, one at a time, within limits; published by its role."""

import json
import os
import subprocess
from contextlib import contextmanager
from functools import partial

import pytest

from tests.lab.fleet import ROOT, run, wait_for
from tests.lab.releasing import runs
from tests.local.small_app import git

DATA = "/srv/data/release"
CONTROLLERS = "cat /sys/fs/cgroup/cgroup.controllers 2>/dev/null || :"
SSH = "ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
# What branches of the repository have for the application's tests.
TESTS = {
    "feature": None,
    "broken": "id -un; curl -s -m 5 http://169.254.169.254/ || echo no metadata; exit 3",
    "slow": "echo sleeping; sleep 300",
    "greedy": "node -e 'for (const all = [];;) all.push(Buffer.alloc(1e7, 1))'",
}


class Server:
    """The release server, as somebody who logs in there has it."""

    def __init__(self, fleet):
        (self.member,) = fleet.members("release")
        self.key = fleet.settings.ssh.private_key
        self.ssh = f"{SSH} -i {self.key}"
        self.login = f"{fleet.settings.ssh.user}@{self.member.private_address}"
        self.root = lambda command, **more: fleet.shell(self.member, command, **more).stdout

    def push(self, place, *refs):
        """Push from the repository `place`, with git over SSH."""
        address = f"ssh://{self.login}{DATA}/repository.git"
        environment = {**os.environ, "GIT_SSH_COMMAND": self.ssh}
        subprocess.run(["git", "-C", place, "push", "-q", "-f", address, *refs], env=environment, check=True)

    def says(self, *words, check=True):
        """Run a command there; the finished process."""
        return run(*self.ssh.split(), self.login, *words, check=check)

    def log_of(self, done):
        """The log that a build's last words name."""
        return self.root(f"cat {done.stderr.split('Its log: ')[1].strip()}")

    def comes_to_rest(self):
        """systemd forgets a build that ended, and has ended all that it started, a moment later."""
        units = "systemctl list-units --all --plain --no-legend 'corral-build@*'"
        left = f"{units}; ps -u release -o args="
        wait_for("no build is under way", lambda: self.root(left, check=False) == "", 30)

    @contextmanager
    def limited(self, limit):
        """As long as this lasts, another limit for builds."""
        folder = "/run/systemd/system/corral-build@.service.d"
        self.root(f"mkdir -p {folder} && printf '[Service]\\n{limit}\\n' >{folder}/test.conf")
        self.root("systemctl daemon-reload")
        yield
        self.root(f"rm -r {folder} && systemctl daemon-reload")


@pytest.fixture(scope="module")
def server(fleet, tmp_path_factory):
    """The release server, with the commit of this checkout pushed as `main`, and branches that go wrong."""
    found, place = Server(fleet), tmp_path_factory.mktemp("pushed") / "clone"
    run("git", "clone", "-q", ROOT, place)
    package = json.loads((place / "app/package.json").read_text())
    scripts = dict(package["scripts"])
    for branch, script in TESTS.items():
        git(place, "checkout", "-q", "-B", branch, "origin/HEAD")
        package["scripts"]["test"] = script or scripts["test"]
        package["description"] = f"As it is on {branch}."
        (place / "app/package.json").write_text(json.dumps(package))
        git(place, "commit", "-q", "-am", branch)
    found.clone = place
    found.push(place, "origin/HEAD:refs/heads/main", *TESTS)
    return found


@pytest.fixture(scope="module")
def feature(server):
    """The build of a branch, published: the finished process, and the version."""
    done = server.says("corral-build", "feature", "--publish")
    (directory,) = done.stdout.split()
    return done, directory.removeprefix(f"{DATA}/releases/")


def test_what_was_pushed_is_built_tested_and_published_with_the_servers_own_role(server, feature, tmp_path):
    done, version = feature
    log = server.root(f"cat {DATA}/logs/*-feature.log")
    for words in ("$ npm ci", "$ npm test", "fail 0", "$ npm run build", "$ npm prune"):
        assert words in log
    assert "published" in done.stderr
    # The same commit gives the same archive here, where another Node builds.
    from_clone = ("feature", "--repository", server.clone)
    here = run("corral", "release", "build", *from_clone, "--output", tmp_path, "-e", "lab").stdout.strip()
    shown = json.loads(run("corral", "release", "show", version, "--json", "-e", "lab").stdout)
    mine = json.loads((tmp_path / here / "manifest.json").read_text())
    assert (shown["version"], shown["commit"], shown["digest"]) == (version, mine["commit"], mine["digest"])
    assert shown["sha256"] == mine["sha256"]


def test_corral_is_there_as_for_an_operator(server):
    assert "releases/app" not in server.says("corral", "release", "list").stderr
    listed = json.loads(server.says("corral", "release", "list", "--json").stdout)
    assert [one["current"] for one in listed].count(True) == 1
    hosts = json.loads(server.says("corral", "status", "--json", check=False).stdout)
    assert server.member.instance_id in json.dumps(hosts)
    refused = server.says("corral", "stack", "apply", "-y", check=False)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr


def test_from_there_it_is_brought_to_all_app_servers_and_back(fleet, server, feature):
    _, version = feature
    before = json.loads(run("corral", "release", "list", "--json", "-e", "lab").stdout)
    (old,) = [one["version"] for one in before if one["current"]]
    for words, now in (("deploy " + version, version), ("rollback", old)):
        # The server keeps no key to the hosts: who logs in brings it.
        command = f"ssh-add -q {server.key} && {server.ssh} -A {server.login} corral release {words}"
        done = run("ssh-agent", "sh", "-c", command)
        assert f"app servers run {now}." in done.stdout
        assert set(runs(fleet)) == {now}


def test_a_build_that_fails_says_so_and_its_log_stays(server):
    before = server.root(f"ls {DATA}/releases").split()
    done = server.says("corral-build", "broken", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "corral: the build of broken failed. Its log: " in done.stderr
    said = server.log_of(done)
    assert "`npm test` failed with exit code 3" in said
    # It ran as another user than root, and out of reach of the role's credentials.
    assert "\nrelease\n" in said
    assert "\nno metadata\n" in said
    assert server.root(f"ls {DATA}/releases").split() == before
    server.comes_to_rest()


def test_one_build_at_a_time_and_a_second_is_told_which(server):
    first = subprocess.Popen([*server.ssh.split(), server.login, "corral-build", "slow"], text=True)
    try:
        # It fails as long as nothing of that user's runs.
        running = partial(server.root, "ps -u release -o args=", check=False)
        wait_for("the build sleeps", lambda: "sleep 300" in running(), 120)
        second = server.says("corral-build", "main", check=False)
        assert second.returncode == 1
        assert "corral: a build is under way, and one runs at a time: of slow, since " in second.stderr
        assert "by admin, its log is /srv/data/release/logs/" in second.stderr
        # Whoever started it is killed; it goes on, alone.
        server.root("pkill -9 -f '[c]orral-build slow'")
        assert "of slow" in server.says("corral-build", "main", check=False).stderr
    finally:
        server.root("systemctl stop 'corral-build@*'")
        first.kill()
        first.wait()
    server.comes_to_rest()


@pytest.mark.parametrize(
    ("branch", "limit", "said"),
    [
        ("slow", "RuntimeMaxSec=10", "corral: the build took more than 20 minutes and was ended"),
        ("greedy", "MemoryMax=400M", "corral: the build needed more than 1536 MiB of memory and was ended"),
    ],
)
def test_a_build_that_takes_too_much_is_ended_and_its_log_says_why(server, branch, limit, said):
    if limit.startswith("Memory") and "memory" not in server.root(CONTROLLERS):
        pytest.skip("this machine lets its containers limit no memory (cgroup v1)")
    with server.limited(limit):
        done = server.says("corral-build", branch, check=False)
    assert done.returncode == 1
    assert said in server.log_of(done)
    server.comes_to_rest()


def test_no_such_ref_is_a_sentence(server):
    done = server.says("corral-build", "nowhere", check=False)
    assert done.returncode == 1
    assert (
        "There is no branch, no tag and no commit 'nowhere' in /srv/data/release/repository.git"
        in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_the_limits_of_a_build_are_those_of_the_settings(server):
    asked = {
        "User": "release",
        "MemoryMax": str(1536 * 1024**2),
        "MemorySwapMax": "0",
        "CPUQuotaPerSecUSec": "1s",
        "TasksMax": "512",
        "RuntimeMaxUSec": "20min",
        "NoNewPrivileges": "yes",
        "PrivateTmp": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "CapabilityBoundingSet": "",
    }
    shown = server.root(f"systemctl show corral-build@x.service -p {','.join(asked)}")
    assert dict(line.partition("=")[::2] for line in shown.splitlines()) == asked


def test_a_converge_after_builds_changes_nothing(fleet, server):
    assert fleet.converge("--limit", "release").changed == {}
