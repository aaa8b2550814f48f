"""The instances' first script, run as it is against a metadata service and an AWS of our own."""

import functools
import hashlib
import io
import os
import shutil
import ssl
import subprocess
import tarfile

import pytest

from corral.reports.schema import Report, parse
from lab import ca
from tests.local.fake_aws import KEY, SECRET, SESSION, USERID, FakeAws
from tests.shared.roles import ROOT

SCRIPT = ROOT / "files" / "user-data.sh"
BUCKET = "chat-lab-releases-123456789012"
TAGS = {
    "corral:role": "app",
    "corral:environment": "lab",
    "corral:settings": "lab-branch/feature-x",
    "corral:releases-bucket": BUCKET,
    "corral:private-zone-id": "Z0123456789",
    "aws:autoscaling:groupName": "chat-lab-app",
}
NODE = {
    "CORRAL_ROLE": "app",
    "CORRAL_ENVIRONMENT": "lab",
    "CORRAL_SETTINGS": "lab-branch/feature-x",
    "CORRAL_BUCKET": BUCKET,
    "CORRAL_GROUP": "chat-lab-app",
    "CORRAL_REGION": "eu-west-1",
    "CORRAL_ZONE": "eu-west-1b",
    "CORRAL_INSTANCE": "i-0fedcba9876543210",
    "CORRAL_ADDRESS": "10.42.32.4",
    "CORRAL_PRIVATE_ZONE_ID": "Z0123456789",
    "CORRAL_DATA_VOLUME": "",
}
VOLUME = "vol-0123456789abcdef0"
POINTER = f"{BUCKET}/environments/lab/bundle.json"
DENIED = (403, "<Code>AccessDenied</Code>")


@functools.cache  # a gzip file tells when it was made
def archive(converge="#!/bin/sh\necho converging: $*\n"):
    """A bundle that only says how its converge was called, and its digest."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo("files/node/converge")
        entry.mode, entry.size = 0o755, len(converge)
        tar.addfile(entry, io.BytesIO(converge.encode()))
    return packed.getvalue(), hashlib.sha256(packed.getvalue()).hexdigest()


def publish(aws, content, digest):
    """Put a bundle where the environment's pointer names it."""
    aws.objects[f"{BUCKET}/bundles/{digest}.tar.gz"] = content
    aws.objects[POINTER] = f'{{\n "digest": "{digest}",\n "key": "bundles/{digest}.tar.gz"\n}}'.encode()


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
def aws(tmp_path):
    """Behind TLS, with a certificate of the names that it has on AWS; a bundle is published there."""
    server = FakeAws()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ca.certificate(tmp_path / "ca", "api", ["*.eu-west-1.amazonaws.com"]))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    publish(server, *archive())
    yield server
    server.shutdown()


@pytest.fixture
def boot(metadata, aws, tmp_path):
    """Runs the script where all addresses lead to the servers of this test; only pauses take time."""
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "curl").write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/argv\n'
        f"exec {shutil.which('curl')} --cacert {tmp_path}/ca/ca.pem"
        f" --connect-to 169.254.169.254:80:127.0.0.1:{metadata.server_port}"
        f" --connect-to :443:127.0.0.1:{aws.server_port}"
        ' "$@"\n'
    )
    (bin / "sleep").write_text(f"#!/bin/sh\necho $1 >>{tmp_path}/pauses\n")
    (bin / "date").write_text(
        f'#!/bin/sh\n[ "$1" = +%s ] || exec {shutil.which("date")} "$@"\n'
        f"n=1000; while read -r s; do n=$((n + s)); done <{tmp_path}/pauses; echo $n\n"
    )
    for program in bin.iterdir():
        program.chmod(0o755)
    (tmp_path / "pauses").touch()

    def boot(*words):
        script = SCRIPT.read_text()
        for place in ("/etc/corral", "/opt/corral"):
            script = script.replace(place, f"{tmp_path}{place}")
        done = subprocess.run(
            ["sh", "-c", script, "sh", *words],
            capture_output=True,
            text=True,
            env={"PATH": f"{bin}:{os.environ['PATH']}"},
            timeout=60,
        )
        return done, [int(pause) for pause in (tmp_path / "pauses").read_text().split()]

    return boot


def node(tmp_path):
    lines = (tmp_path / "etc/corral/node.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_a_host_writes_down_who_it_is_and_converges_by_the_bundle(boot, tmp_path):
    done, pauses = boot()
    digest = archive()[1]
    assert (done.returncode, done.stdout, pauses) == (0, "converging: boot\n", [])
    assert done.stderr == f"corral: i-0fedcba9876543210, app of lab: bundles/{digest}\n"
    assert node(tmp_path) == NODE
    assert sorted(path.name for path in (tmp_path / "opt/corral").iterdir()) == ["bundles", "current"]
    assert (tmp_path / "opt/corral/current").resolve() == tmp_path / "opt/corral/bundles" / digest


def test_a_host_that_has_a_volume_writes_that_down_too(boot, metadata, tmp_path):
    metadata.tree |= {"tags/instance": "corral:data-volume\ncorral:role"}
    metadata.tree |= {"tags/instance/corral:data-volume": VOLUME}
    assert boot()[0].returncode == 0
    assert node(tmp_path) == NODE | {"CORRAL_DATA_VOLUME": VOLUME}


@pytest.mark.parametrize("name", ["tags/instance", "tags/instance/corral:data-volume", "local-ipv4"])
def test_a_host_that_can_not_learn_who_it_is_says_so_and_writes_nothing(boot, metadata, tmp_path, name):
    metadata.tree |= {"tags/instance": "corral:data-volume\ncorral:role"}
    metadata.tree |= {"tags/instance/corral:data-volume": VOLUME}
    del metadata.tree[name]
    done, _ = boot()
    assert done.returncode != 0
    where = f"http://169.254.169.254/latest/meta-data/{name}"
    assert done.stderr == f"corral: {where}: curl: (22) The requested URL returned error: 404\n"
    assert not (tmp_path / "etc/corral/node.env").exists()


def test_nothing_secret_is_on_a_command_line(boot, tmp_path):
    boot()
    argv = (tmp_path / "argv").read_text()
    assert "aws:amz:eu-west-1:s3" in argv
    assert not [secret for secret in (KEY, SECRET, SESSION) if secret in argv]


@pytest.mark.parametrize("failure", [DENIED, (503, "<Code>SlowDown</Code>"), (200, "<html>oh!</html>")])
def test_what_is_away_or_makes_no_sense_is_asked_again(boot, aws, failure):
    aws.failures = [failure] * 3
    done, pauses = boot()
    assert (done.returncode, done.stdout, pauses) == (0, "converging: boot\n", [1, 2, 4])
    assert [line.startswith("corral: no bundle: ") for line in done.stderr.splitlines()] == [True] * 3 + [
        False
    ]


def test_an_archive_cut_off_is_fetched_again(boot, aws):
    content, digest = archive()
    pointer = (200, aws.objects[POINTER])
    aws.failures = [pointer, (200, content[:-20])]
    done, pauses = boot()
    assert (done.returncode, done.stdout, pauses) == (0, "converging: boot\n", [1])
    assert f"no bundle: {digest} has another SHA-256" in done.stderr


def test_a_host_without_a_bundle_reports_why_and_lets_its_group_take_another(boot, aws, tmp_path):
    content, digest = archive()
    publish(aws, content + b"more", digest)
    done, pauses = boot()
    assert (done.returncode, done.stdout) == (1, "")
    assert 120 <= sum(pauses) < 140
    (form,) = aws.forms
    assert form == {
        "Action": "CompleteLifecycleAction",
        "Version": "2011-01-01",
        "LifecycleHookName": "launch",
        "InstanceId": "i-0fedcba9876543210",
        "LifecycleActionResult": "ABANDON",
        "AutoScalingGroupName": "chat-lab-app",
    }
    report = parse(aws.objects[f"{BUCKET}/reports/lab/{USERID}.json"])
    assert isinstance(report, Report), report
    assert (report.instance, report.role, report.result) == ("i-0fedcba9876543210", "app", "failed")
    assert report.failed.output == (f"{digest} has another SHA-256",)
    assert list((tmp_path / "opt/corral/bundles").iterdir()) == [], "nothing of it was unpacked"
    assert not (tmp_path / "opt/corral/current").is_symlink()


def test_a_report_stays_json_whatever_the_cause_says(boot, aws):
    aws.objects[POINTER] = b""
    aws.failures = [(200, 'say \\ "no"\n\n')] * 5
    boot()
    assert isinstance(parse(aws.objects[f"{BUCKET}/reports/lab/{USERID}.json"]), Report)


def test_a_group_that_can_not_be_told_is_a_failure_of_one_line(boot, aws):
    del aws.objects[POINTER]
    aws.failures = [DENIED] * 1000
    done, _ = boot()
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("curl: (22) The requested URL returned error: 403")


def test_a_tick_only_fetches(boot, aws, tmp_path):
    first = boot()[0].stdout
    publish(aws, *archive("#!/bin/sh\necho another\n"))
    done, _ = boot("fetch")
    assert (first, done.returncode, done.stdout) == ("converging: boot\n", 0, "")
    current = tmp_path / "opt/corral/current"
    assert subprocess.run([current / "files/node/converge"], capture_output=True).stdout == b"another\n"


def test_a_tick_that_gets_no_bundle_leaves_what_is_there_and_tells_nobody(boot, aws, tmp_path):
    boot()
    content, digest = archive("#!/bin/sh\necho another\n")
    publish(aws, content[:-1], digest)
    done, _ = boot("fetch")
    assert done.returncode == 1
    assert aws.forms == []
    assert (tmp_path / "opt/corral/current").readlink().name == archive()[1]


def test_going_back_to_a_bundle_that_is_there_needs_no_archive(boot, aws, tmp_path):
    boot()
    publish(aws, *archive("#!/bin/sh\necho another\n"))
    boot("fetch")
    publish(aws, *archive())
    del aws.objects[f"{BUCKET}/bundles/{archive()[1]}.tar.gz"]
    assert boot("fetch")[0].returncode == 0
    assert (tmp_path / "opt/corral/current").readlink().name == archive()[1]


def test_it_is_short_and_sound():
    assert len(SCRIPT.read_bytes()) < 4096
    subprocess.run(["shellcheck", SCRIPT], check=True)
