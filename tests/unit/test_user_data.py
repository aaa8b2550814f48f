"""The instances' first script, run as it is against a metadata service and an Auto Scaling of our own."""

import os
import shutil
import ssl
import subprocess

import pytest

from lab import ca
from tests.unit.fake_aws import KEY, SECRET, SESSION, FakeAws
from tests.unit.roles import ROOT

SCRIPT = ROOT / "files" / "user-data.sh"
TAGS = {
    "corral:role": "app",
    "corral:environment": "lab",
    "corral:settings": "lab-branch/feature-x",
    "corral:releases-bucket": "chat-lab-releases-123456789012",
    "corral:private-zone-id": "Z0123456789",
    "aws:autoscaling:groupName": "chat-lab-app",
}
NODE = """\
CORRAL_ROLE=app
CORRAL_ENVIRONMENT=lab
CORRAL_SETTINGS=lab-branch/feature-x
CORRAL_BUCKET=chat-lab-releases-123456789012
CORRAL_GROUP=chat-lab-app
CORRAL_REGION=eu-west-1
CORRAL_ZONE=eu-west-1b
CORRAL_INSTANCE=i-0fedcba9876543210
CORRAL_ADDRESS=10.42.32.4
CORRAL_PRIVATE_ZONE_ID=Z0123456789
CORRAL_DATA_VOLUME=
"""
VOLUME = "vol-0123456789abcdef0"
NOTHING_WAITS = (
    "<Code>ValidationError</Code><Message>No active Lifecycle Action found with instance ID i-0</Message>"
)


@pytest.fixture
def metadata():
    server = FakeAws()
    server.tree = {
        "instance-id": "i-0fedcba9876543210",
        "local-ipv4": "10.42.32.4",
        "placement/availability-zone": "eu-west-1b",
        "tags/instance": "\n".join(TAGS),
        **{f"tags/instance/{name}": value for name, value in TAGS.items()},
    }
    yield server
    server.shutdown()


@pytest.fixture
def autoscaling(tmp_path):
    """Behind TLS, with a certificate of the name that it has on AWS."""
    server = FakeAws()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ca.certificate(tmp_path / "ca", "api", ["*.eu-west-1.amazonaws.com"]))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    yield server
    server.shutdown()


@pytest.fixture
def boot(metadata, autoscaling, tmp_path):
    """Runs the script where both addresses lead to the servers of this test, and pauses are short."""
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "curl").write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/argv\n'
        f"exec {shutil.which('curl')} --cacert {tmp_path}/ca/ca.pem"
        f" --connect-to 169.254.169.254:80:127.0.0.1:{metadata.server_port}"
        f" --connect-to autoscaling.eu-west-1.amazonaws.com:443:127.0.0.1:{autoscaling.server_port}"
        ' "$@"\n'
    )
    (bin / "sleep").write_text(f"#!/bin/sh\necho $1 >>{tmp_path}/pauses\n")
    for program in bin.iterdir():
        program.chmod(0o755)
    (tmp_path / "pauses").touch()

    def boot():
        script = SCRIPT.read_text().replace("/etc/corral", f"{tmp_path}/etc")
        done = subprocess.run(
            ["sh", "-c", script],
            capture_output=True,
            text=True,
            env={"PATH": f"{bin}:{os.environ['PATH']}"},
            timeout=60,
        )
        return done, (tmp_path / "pauses").read_text().split()

    return boot


def test_a_host_writes_down_who_it_is_and_tells_its_group(boot, autoscaling, tmp_path):
    done, pauses = boot()
    assert (done.returncode, done.stderr, pauses) == (0, "", [])
    assert (tmp_path / "etc/node.env").read_text() == NODE
    assert done.stdout.splitlines()[-1] == "corral: chat-lab-app knows that i-0fedcba9876543210 is ready"
    assert autoscaling.forms == [
        {
            "Action": "CompleteLifecycleAction",
            "Version": "2011-01-01",
            "LifecycleHookName": "launch",
            "InstanceId": "i-0fedcba9876543210",
            "LifecycleActionResult": "CONTINUE",
            "AutoScalingGroupName": "chat-lab-app",
        }
    ]


def test_a_host_that_has_a_volume_writes_that_down_too(boot, metadata, tmp_path):
    metadata.tree |= {"tags/instance": "corral:data-volume\ncorral:role"}
    metadata.tree |= {"tags/instance/corral:data-volume": VOLUME}
    assert boot()[0].returncode == 0
    assert (tmp_path / "etc/node.env").read_text() == NODE.rstrip("\n") + f"{VOLUME}\n"


@pytest.mark.parametrize("name", ["tags/instance", "tags/instance/corral:data-volume", "local-ipv4"])
def test_a_host_that_can_not_learn_who_it_is_says_so_and_writes_nothing(boot, metadata, tmp_path, name):
    metadata.tree |= {"tags/instance": "corral:data-volume\ncorral:role"}
    metadata.tree |= {"tags/instance/corral:data-volume": VOLUME}
    del metadata.tree[name]
    done, _ = boot()
    assert done.returncode != 0
    assert "404" in done.stderr
    assert not (tmp_path / "etc/node.env").exists()


def test_nothing_secret_is_on_a_command_line(boot, tmp_path):
    boot()
    argv = (tmp_path / "argv").read_text()
    assert "aws:amz:eu-west-1:autoscaling" in argv
    assert not [secret for secret in (KEY, SECRET, SESSION) if secret in argv]


def test_a_group_that_comes_to_wait_a_little_later_is_told_then(boot, autoscaling):
    autoscaling.failures = [(400, NOTHING_WAITS)] * 2
    done, pauses = boot()
    assert (done.returncode, pauses) == (0, ["5", "5"])
    assert len(autoscaling.forms) == 1


def test_a_group_that_does_not_wait_is_fine(boot, autoscaling):
    autoscaling.failures = [(400, NOTHING_WAITS)] * 100
    done, pauses = boot()
    assert (done.returncode, done.stderr, pauses) == (0, "", ["5"] * 3)


def test_a_group_that_can_not_be_told_is_a_failure_of_one_line(boot, autoscaling):
    autoscaling.failures = [(403, "<Code>AccessDenied</Code>\n<Message>not authorized</Message>")] * 100
    done, pauses = boot()
    assert done.returncode == 1
    assert done.stderr == (
        "corral: chat-lab-app could not be told that i-0fedcba9876543210 is ready:"
        " <Code>AccessDenied</Code><Message>not authorized</Message> HTTP 403\n"
    )
    assert pauses[-1] == "0"


def test_a_role_that_is_new_to_aws_is_believed_later(boot, autoscaling):
    autoscaling.failures = [(403, "<Code>AccessDenied</Code>")] * 3
    done, pauses = boot()
    assert (done.returncode, len(pauses), len(autoscaling.forms)) == (0, 3, 1)


def test_it_is_short():
    assert len(SCRIPT.read_bytes()) < 4096  # EC2 takes 16 KiB
