"""A tick, run as it is: what makes it converge, and what lets it be; in front of a small AWS."""

import fcntl
import functools
import hashlib
import io
import os
import subprocess
import tarfile

import pytest

from tests.local.fake_aws import USERID, FakeAws
from tests.shared.roles import ROOT

BUCKET = "chat-lab-releases-123456789012"
HERE, OTHER = "a" * 64, "b" * 64
POINTER = f"{BUCKET}/environments/lab/bundle.json"
RELEASE = f"{BUCKET}/environments/lab/app/current.json"
AWAY = (500, "<Code>InternalError</Code>")


@functools.cache
def another():
    """Another bundle, whose converge says so, and its digest."""
    packed, script = io.BytesIO(), b"#!/bin/sh\necho another: $*\n"
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in (("converge", script), ("fingerprint", b"#!/bin/sh\necho another\n")):
            entry = tarfile.TarInfo(f"files/node/{name}")
            entry.mode, entry.size = 0o755, len(text)
            tar.addfile(entry, io.BytesIO(text))
    return packed.getvalue(), hashlib.sha256(packed.getvalue()).hexdigest()


class Host:
    """A folder that is a host: its bundle, what its last converge left, and the AWS that it asks."""

    def __init__(self, root, aws):
        self.root, self.aws = root, aws
        bundle = root / "opt/corral/bundles" / HERE
        for name in (
            "host/aws",
            "node/tick",
            "node/fingerprint",
            "node/pointers",
            "node/send-report",
            "user-data.sh",
        ):
            self.write(bundle / "files" / name, self.moved((ROOT / "files" / name).read_text()))
        self.write(bundle / "files/node/converge", "#!/bin/sh\necho converging: $* locked $CORRAL_LOCKED\n")
        (root / "opt/corral/current").symlink_to(f"bundles/{HERE}")
        self.state = root / "var/lib/corral/node"
        self.write(self.state / "report.json", '{"result": "healthy"}')
        self.write(root / "asked", "as it was\n")
        self.write(self.state / "questions", f"(\ncat {root}/asked\n)\n")
        self.write(
            root / "etc/corral/node.env",
            f"CORRAL_ROLE=app\nCORRAL_ENVIRONMENT=lab\nCORRAL_BUCKET={BUCKET}\n",
        )
        self.write(root / "bin/sleep", "#!/bin/sh\n")
        self.write(root / "bin/python3", f"#!/bin/sh\ntouch {root}/python\n")
        (self.state / "fingerprint").write_text(self.run("fingerprint").stdout)
        self.name(HERE)

    def moved(self, text):
        for place in ("/etc/corral", "/opt/corral", "/var/lib/corral", "/run/corral"):
            text = text.replace(place, f"{self.root}{place}")
        return text

    @staticmethod
    def write(file, text):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def name(self, digest):
        """Let the environment name a bundle; and a release."""
        self.aws.objects[POINTER] = f'{{\n "digest": "{digest}"\n}}'.encode()
        self.aws.objects[RELEASE] = f'{{\n "version": "1",\n "sha256": "{OTHER}"\n}}'.encode()

    def run(self, script):
        return subprocess.run(
            [self.root / "opt/corral/current/files/node" / script],
            capture_output=True,
            text=True,
            timeout=60,
            env={
                "PATH": f"{self.root}/bin:{os.environ['PATH']}",
                "AWS_ENDPOINT_URL": self.aws.url,
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.aws.url,
            },
        )

    def tick(self):
        """What a tick prints on its stdout: what its converge does; and what it tells."""
        done = self.run("tick")
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr


@pytest.fixture
def host(tmp_path):
    aws = FakeAws()
    yield Host(tmp_path, aws)
    aws.shutdown()


CONVERGES = "converging: tick locked 1\n"


def test_where_nothing_differs_a_tick_does_nothing_and_starts_no_python(host):
    assert host.tick() == ("", "")
    assert not (host.root / "python").exists()
    assert host.tick() == ("", "")


def test_another_answer_to_a_question_makes_it_converge(host):
    (host.root / "asked").write_text("otherwise\n")
    assert host.tick() == (CONVERGES, "")


def test_it_converges_until_a_healthy_converge_leaves_a_fingerprint(host):
    (host.state / "fingerprint").unlink()
    assert host.tick() == (CONVERGES, "")
    assert host.tick() == (CONVERGES, "")


def test_it_converges_once_a_day_whatever_the_fingerprint_says(host):
    fingerprint = host.state / "fingerprint"
    yesterday = fingerprint.stat().st_mtime - 25 * 3600
    os.utime(fingerprint, (yesterday, yesterday))
    assert host.tick() == (CONVERGES, "")


def test_what_the_environment_names_is_kept_for_the_converge(host):
    host.tick()
    assert (host.state / "pointers/current.json").read_bytes() == host.aws.objects[RELEASE]
    host.write(host.state / "questions", '(\ncat "$CORRAL_RELEASE_POINTER"\n)\n')
    host.tick()
    (host.state / "fingerprint").write_text(host.run("fingerprint").stdout)
    assert host.tick()[0] == CONVERGES, "the fingerprint was taken without the pointer"


def test_only_app_servers_ask_for_the_application(host):
    env = host.root / "etc/corral/node.env"
    env.write_text(env.read_text().replace("=app", "=db"))
    host.tick()
    assert not [path for _, path in host.aws.requests if "current.json" in path]


@pytest.mark.parametrize("failure", [AWAY, (200, "<html>It works!</html>"), (200, '{"digest": "none"}')])
def test_where_s3_is_away_or_mad_the_host_stays_as_it_is_and_is_looked_after(host, failure):
    host.tick()
    host.aws.failures = [failure] * 100
    printed, told = host.tick()
    assert printed == ""
    assert (host.state / "pointers/bundle.json").read_bytes() == host.aws.objects[POINTER]
    if failure == AWAY:
        assert "S3 does not tell what lab names; going on as before" in told
    (host.root / "asked").write_text("otherwise\n")
    assert host.tick()[0] == CONVERGES


def test_another_bundle_is_fetched_and_converges(host):
    content, digest = another()
    host.name(digest)
    # The script that fetches is the one of first boot; what it asks is tested in test_user_data.py.
    place = host.root / "opt/corral"
    host.write(place / "archive.tar.gz", "")
    (place / "archive.tar.gz").write_bytes(content)
    fetch = f"mkdir {place}/bundles/{digest} && tar -xzf {place}/archive.tar.gz -C {place}/bundles/{digest}"
    switch = f"ln -sfn bundles/{digest} {place}/current"
    host.write(
        place / f"bundles/{HERE}/files/user-data.sh", f"#!/bin/sh -e\n[ $1 = fetch ]\n{fetch}\n{switch}\n"
    )
    printed, told = host.tick()
    assert (printed, told) == ("another: tick\n", "corral: the environment names another bundle\n")


def test_a_bundle_that_can_not_be_had_leaves_the_one_that_is_there(host):
    host.name(OTHER)
    host.write(
        host.root / f"opt/corral/bundles/{HERE}/files/user-data.sh", "#!/bin/sh\necho no bundle >&2\nexit 1\n"
    )
    printed, told = host.tick()
    assert printed == ""
    assert told.endswith("no bundle\ncorral: going on with the bundle that is here\n")


def test_a_tick_beside_another_converge_does_nothing(host):
    (host.state / "fingerprint").unlink()
    (host.root / "run/corral").mkdir(parents=True)
    with (host.root / "run/corral/converge.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        printed, told = host.tick()
    assert (printed, told) == (
        "",
        "corral: another converge of this host is under way; nothing to do for this tick\n",
    )
    assert host.tick()[0] == CONVERGES


def sent(host):
    return host.aws.objects.get(f"{BUCKET}/reports/lab/{USERID}.json")


def test_a_report_that_could_not_be_sent_is_sent_later(host):
    host.tick()
    assert sent(host) is None
    (host.state / "unsent").touch()
    host.aws.failures = [AWAY] * 100
    host.tick()
    assert (host.state / "unsent").exists()
    host.aws.failures = []
    host.tick()
    assert sent(host) == b'{"result": "healthy"}'
    assert not (host.state / "unsent").exists()


def test_a_report_is_sent_again_once_an_hour(host):
    os.utime(host.state / "report.json", (0, 0))
    host.tick()
    assert sent(host) == b'{"result": "healthy"}'
    del host.aws.objects[f"{BUCKET}/reports/lab/{USERID}.json"]
    host.tick()
    assert sent(host) is None
