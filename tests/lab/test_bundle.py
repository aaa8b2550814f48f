"""Bundles on real hosts: what push made is a no-op for pull, and a host that only pulled is one for push."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.connection import CONNECTION
from tests.lab.fleet import BIN, ROOT, run

# Where this test unpacks it on a host.
PLACE = "/root/bundle"
PULL = f"cd {PLACE} && PYTHONPATH=.:lib/any:lib/$(uname -m) python3 -m pyinfra"
# Every package in the bundle has what it asks for on this Python; the lock was made on another.
UNMET = """
import importlib.metadata as metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as name
found = [one for one in metadata.distributions() if str(one.locate_file("")).startswith("PLACE")]
versions = {name(one.name): one.version for one in found}
for one in found:
    for wanted in map(Requirement, one.requires or []):
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            version = versions.get(name(wanted.name))
            if version is None or not wanted.specifier.contains(version, prereleases=True):
                print(one.name, "wants", wanted, "and has", version)
print(len(found), "packages")
""".replace("PLACE", PLACE)


@pytest.fixture(scope="module")
def published(fleet):
    """The bundle of this checkout, which may have changes, in S3 and pointed to."""
    done = run("corral", "bundle", "publish", "--dirty", "--point", "--json", CORRAL_ENV="lab")
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def unpacked(fleet, published):
    """Unpacks the bundle on a host, as boot will."""

    def unpack(member):
        words = f"rm -rf {PLACE} && mkdir {PLACE} && tar -xzf - -C {PLACE}"
        with Path(published["path"]).open("rb") as archive:
            command = [BIN / "corral", "lab", "shell", member.instance_id, "--", "sh", "-c", words]
            subprocess.run(command, stdin=archive, check=True)

    return unpack


def pull(fleet, member):
    """Converge a host by itself; names of the operations that changed something."""
    done = fleet.shell(member, f"{PULL} -y --json inventory/node.py deploy.py")
    operations = json.loads(done.stdout)["results"]["operations"]
    assert [name for op in operations for name in op["error"]] == []
    assert {host for op in operations for host in (*op["success"], *op["no_change"])} == {"@local"}
    return [op["name"] for op in operations if op["success"]]


def test_a_commit_gives_the_same_bundle_wherever_it_is_built(tmp_path):
    code = (
        "import sys; from pathlib import Path; from corral.bundle.build import build;"
        "print(build(*map(Path, sys.argv[1:])).digest)"
    )
    digests = set()
    for name, umask, zone in [("one", "077", "Asia/Tokyo"), ("another/place", "002", "America/Lima")]:
        clone = tmp_path / name / "corral"
        run("sh", "-c", f"umask {umask}; git clone -q '{ROOT}' '{clone}'")
        places = [clone, clone / ".corral/bundles", ROOT / ".corral/wheels"]
        script = ["sh", "-c", f'umask {umask}; exec "$@"', "sh", BIN / "python", "-c", code, *places]
        digests.add(run(*script, TZ=zone, PYTHONPATH=str(ROOT)).stdout)
    assert len(digests) == 1


def test_the_environment_points_to_what_was_published(fleet, published):
    listed = json.loads(run("corral", "bundle", "list", "--json", CORRAL_ENV="lab").stdout)
    assert [one["digest"] for one in listed if one["current"]] == [published["digest"]]


@pytest.mark.parametrize("role", ["app", "db"])
def test_a_node_finds_nothing_to_do_where_push_was_and_repairs_what_push_would(fleet, unpacked, role):
    assert fleet.converge().changed == {}
    member = fleet.members(role)[0]
    unpacked(member)
    assert pull(fleet, member) == []
    fleet.shell(member, "rm /etc/nftables.conf && systemctl stop nftables")
    assert pull(fleet, member) == ["Open this role's ports and no others", "Run the firewall"]
    assert pull(fleet, member) == []
    assert fleet.converge("--limit", member.private_address).changed == {}


def test_every_package_has_what_it_needs_on_the_hosts_python(fleet, unpacked):
    member = fleet.members("app")[0]
    unpacked(member)
    found = fleet.shell(member, f"cd {PLACE} && PYTHONPATH=lib/any:lib/$(uname -m) python3 -c '{UNMET}'")
    (count,) = found.stdout.splitlines()  # and no line about a package
    assert int(count.split()[0]) > 20


def test_a_node_has_the_data_that_push_gives_it(fleet, unpacked):
    done = run("pyinfra", "inventory/aws.py", "debug-inventory", "--json", CORRAL_ENV="lab")
    pushed = {host["name"]: host["data"] for host in json.loads(done.stdout)}
    for member in fleet.members():
        unpacked(member)
        done = fleet.shell(member, f"{PULL} inventory/node.py debug-inventory --json 2>/dev/null")
        (node,) = json.loads(done.stdout)
        theirs = pushed[member.private_address]
        assert node["data"] == {name: theirs[name] for name in theirs.keys() - CONNECTION}
