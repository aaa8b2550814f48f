"""Releases on real hosts: taken over without a failed request, and refused without harm."""

import json
import shutil
import tarfile

import pytest
import zstandard

from corral.releases import archive
from tests.lab.fleet import run, wait_for
from tests.lab.visitors import Visitors

pytestmark = pytest.mark.usefixtures("left_alone")

POINTER = "environments/lab/app/current.json"


@pytest.fixture
def pointer(fleet):
    """Reads the environment's pointer, and writes it behind corral's back; afterwards it is as it was."""
    s3, name = fleet.client("s3"), fleet.settings.releases_bucket
    before = s3.get_object(Bucket=name, Key=POINTER)["Body"].read()

    def change(**values):
        s3.put_object(Bucket=name, Key=POINTER, Body=json.dumps({**json.loads(before), **values}))

    change.current = json.loads(before)
    yield change
    s3.put_object(Bucket=name, Key=POINTER, Body=before)
    fleet.converge("--limit", "app")


@pytest.fixture
def variant(fleet, pointer, tmp_path):
    """Publishes the release that serves, with one file changed, under a version of its own."""

    def publish(version, path, text):
        tree, s3, name = tmp_path / version, fleet.client("s3"), fleet.settings.releases_bucket
        packed = tmp_path / f"{version}.tar.zst"
        s3.download_file(name, f"releases/app/{pointer.current['version']}/app.tar.zst", str(packed))
        with packed.open("rb") as file:
            stream = zstandard.ZstdDecompressor().stream_reader(file)
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                tar.extractall(tree, filter="tar")
        (tree / path).write_text(text)
        sha256 = archive.pack(tree, packed, lambda _: True).sha256
        s3.upload_file(str(packed), name, f"releases/app/{version}/app.tar.zst")
        body = f"{sha256}  app.tar.zst\n".encode()
        s3.put_object(Bucket=name, Key=f"releases/app/{version}/app.tar.zst.sha256", Body=body)
        shutil.rmtree(tree)
        return sha256

    return publish


def releases(fleet):
    """{address: the release that it answers with}."""
    ask = "curl -fsS http://127.0.0.1:3000/readyz"
    return {
        member.private_address: json.loads(fleet.shell(member, ask).stdout)["release"]
        for member in fleet.members("app")
    }


def refused(fleet, *arguments):
    """What pyinfra says of a converge that fails."""
    done = fleet.converge("--limit", "app", *arguments, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_release_takes_over_on_the_whole_fleet_without_one_failed_request(fleet, variant, pointer):
    variant("lab-other", "dist/robots.txt", "User-agent: *\n")
    visitors = [Visitors(fleet) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    changed = fleet.converge("--limit", "app", "--data", "release=lab-other").changed
    assert set(changed) == {"Serve the release"}
    assert set(releases(fleet).values()) == {"lab-other"}
    back = fleet.converge("--limit", "app").changed
    assert set(back) == {"Serve the release"}
    for visitor in visitors:
        visitor.done.set()
    for visitor in visitors:
        visitor.join()
    assert [error for visitor in visitors for error in visitor.failed] == []
    assert {release for visitor in visitors for release in visitor.seen} == {
        "lab-other",
        pointer.current["version"],
    }
    assert set(releases(fleet).values()) == {pointer.current["version"]}


def test_a_dry_run_tells_of_a_pending_release(fleet, variant, pointer):
    pointer(version="lab-other", sha256=variant("lab-other", "dist/robots.txt", "User-agent: *\n"))
    assert set(fleet.converge("--limit", "app", "--dry").predicted) == {"Serve the release"}


def test_a_wrong_checksum_is_refused_and_the_old_release_serves(fleet, variant, pointer):
    before = releases(fleet)
    variant("lab-wrong", "dist/robots.txt", "User-agent: *\n")
    pointer(version="lab-wrong", sha256="00" * 32)
    assert "wrong checksum" in refused(fleet)
    assert releases(fleet) == before
    for member in fleet.members("app"):
        left = fleet.shell(member, "ls -A /srv/app/releases").stdout.split()
        assert "lab-wrong" not in left
        assert not [name for name in left if name.startswith(".new")]


def test_a_release_that_crashes_is_refused_with_its_own_words(fleet, variant, pointer):
    before = releases(fleet)
    crash = 'console.error("the moon is in the wrong phase"); process.exit(1);'
    pointer(version="lab-crash", sha256=variant("lab-crash", "server/main.js", crash))
    said = refused(fleet)
    assert "release lab-crash is refused" in said
    assert "the moon is in the wrong phase" in said
    assert releases(fleet) == before


def test_a_pointer_to_nothing_is_a_sentence(fleet, pointer):
    before = releases(fleet)
    pointer(version="lab-nowhere", sha256="00" * 32)
    assert "releases/app/lab-nowhere/app.tar.zst: HTTP 403" in refused(fleet)
    assert releases(fleet) == before


def test_old_releases_go_and_the_current_one_and_those_to_go_back_to_stay(fleet, variant, pointer):
    member = fleet.members("app")[0]
    for number in range(5):
        variant(f"lab-many-{number}", "dist/assets/only-here.js", f"{number}")
        fleet.converge("--limit", member.private_address, "--data", f"release=lab-many-{number}")
    kept = fleet.shell(member, "ls /srv/app/releases").stdout.split()
    assert kept == [f"lab-many-{number}" for number in (1, 2, 3, 4)]
    fleet.converge("--limit", member.private_address)
    kept = fleet.shell(member, "ls /srv/app/releases").stdout.split()
    assert pointer.current["version"] in kept
    assert len(kept) == 4


def test_after_a_reboot_the_current_release_serves_by_itself(fleet):
    before = releases(fleet)
    member = fleet.members("app")[0]
    fleet.reboot(member)

    def serves_again():
        try:
            return releases(fleet) == before
        except AssertionError:  # the application does not answer yet
            return False

    wait_for("it serves what it did", serves_again, seconds=60)
    run("corral", "lab", "wait", "--healthy")
    assert fleet.converge("--limit", "app").changed == {}


def test_changed_settings_are_taken_over_like_a_release(fleet):
    member = fleet.members("app")[0]
    change = ("--limit", member.private_address)
    changed = fleet.converge(*change, "--data", "processes=1").changed
    assert set(changed) == {"Configure the application", "Serve the release"}
    count = "pgrep -u app -fc 'server/[m]ain.js'"
    assert fleet.shell(member, count).stdout.strip() == "1"
    fleet.converge(*change)
    assert fleet.shell(member, count).stdout.strip() == str(fleet.settings.app.processes)
