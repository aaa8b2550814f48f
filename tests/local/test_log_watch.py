"""What tells silent hosts, beside a real Elasticsearch: the newest line of each host, as status reads it."""

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from corral.settings import ROOT
from corral.status.look import logs
from tests.local.elastic import until
from tests.local.elastic_engine import node_of_the_package
from tests.local.fake_aws import FakeAws

KEY = "logs/lab/seen.json"
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def node():
    with node_of_the_package() as node:
        yield node


@pytest.fixture
def watch(node, tmp_path):
    """Runs the script as its unit does, until the end of the test."""
    api = FakeAws()
    for source in ("host/aws", "log_watch/log-watch"):
        shutil.copy(ROOT / "files" / source, tmp_path)
    (tmp_path / "password").write_text("secret")
    command = ["bucket", KEY, node.url, node.authority.ca, tmp_path / "password"]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            [tmp_path / "log-watch", *command],
            env={
                "PATH": os.environ["PATH"],
                "AWS_ENDPOINT_URL": api.url,
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": api.url,
                "CORRAL_WATCH_PAUSE": "0.3",
            },
            stderr=said,
        )

    def told():
        """What status makes of it."""
        body = api.objects.get(f"bucket/{KEY}")
        return logs(body) if body else None

    yield told
    process.kill()
    process.wait()
    api.shutdown()
    # An index that is just being made answers a moment later.
    said = (tmp_path / "said").read_text().splitlines()
    assert set(said) <= {"curl: (22) The requested URL returned error: 503"}


def write(node, host, *moments):
    for each in moments:
        line = {"@timestamp": each.isoformat(), "host": {"name": host}}
        assert node.ask("POST", "/logs-app.log-lab/_doc?refresh=true", line)[0] == 201


def test_before_the_first_line_it_says_that_nobody_was_heard(watch):
    assert until(watch, "it says nothing").newest == {}


def test_of_each_host_the_newest_line_counts_and_none_that_is_yet_to_come(node, watch):
    ago = {minutes: NOW - timedelta(minutes=minutes) for minutes in (1, 7, 30, 3000)}
    write(node, "i-0quiet", ago[7], ago[30])
    write(node, "i-0well", ago[1], ago[7], NOW + timedelta(hours=1))
    write(node, "i-0gone", ago[3000])
    wanted = {"i-0quiet": ago[7], "i-0well": ago[1]}
    until(lambda: watch() and watch().newest == wanted, watch)
    assert abs(watch().at - datetime.now(UTC)) < timedelta(seconds=30)
