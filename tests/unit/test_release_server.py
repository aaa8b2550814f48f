"""The release server: what a build may take and reach, and what follows from the settings."""

import pytest

from tests.shared.roles import Declared
from tests.unit.test_deploy import declared

UNIT = "/etc/systemd/system/corral-build@.service"
PLACES = "Make the places of builds, and the repository to push to"
DATA = "/srv/data/release"


def options(text):
    """{name: value} of a unit, without its comments."""
    lines = (line for line in text.splitlines() if "=" in line and not line.startswith(("#", " ")))
    return dict(line.split("=", 1) for line in lines)


def environment(**build):
    """What `corral` finds on a release server whose settings differ so from the lab's."""
    given = {**declared("release").data["build"], **build}
    return options(Declared("release", build=given).text("/etc/corral/release.env"))


def test_a_build_may_take_what_the_settings_say_and_write_to_its_own_places():
    said = options(declared("release").text(UNIT))
    assert said["User"] == said["Group"] == "release"
    limits = ("RuntimeMaxSec", "MemoryMax", "MemorySwapMax", "CPUQuota", "TasksMax")
    assert [said[name] for name in limits] == ["20min", "1536M", "0", "100%", "512"]
    assert said["ReadWritePaths"].split() == [f"{DATA}/home", f"{DATA}/releases", f"{DATA}/logs/%i.log"]
    assert (said["ProtectSystem"], said["PrivateTmp"]) == ("strict", "yes")


@pytest.mark.parametrize(
    ("role", "users"), [("release", ["release"]), ("elk", ["kibana", "www-data", "logstash"])]
)
def test_who_meets_strangers_is_kept_from_the_credentials_of_the_role(role, users):
    kept = [
        line.split() for line in declared(role).text("/etc/nftables.conf").splitlines() if "skuid" in line
    ]
    assert [(words[2], words[-2], words[-1]) for words in kept] == [
        (f'"{user}"', address, "reject") for user in users for address in ("169.254.169.254", "fd00:ec2::254")
    ]
    for role in ("app", "db"):
        assert "skuid" not in declared(role).text("/etc/nftables.conf")


def test_other_settings_are_other_limits():
    build = {**declared("release").data["build"], "minutes": 7, "memory_mib": 900, "cpu_percent": 250}
    text = Declared("release", build=build).text(UNIT)
    assert {"RuntimeMaxSec=7min", "MemoryMax=900M", "CPUQuota=250%"} <= set(text.splitlines())
    assert "more than 7 minutes" in text
    assert "more than 900 MiB" in text


def test_without_a_repository_of_its_own_it_builds_what_was_pushed_to_it():
    assert environment()["CORRAL_REPOSITORY"] == f"{DATA}/repository.git"
    elsewhere = environment(repository="https://git.example.com/chat.git", registry=None)
    assert elsewhere["CORRAL_REPOSITORY"] == "https://git.example.com/chat.git"
    assert "npm_config_registry" not in elsewhere
    assert environment()["npm_config_registry"] == "https://169.254.77.1"


def test_who_logs_in_owns_the_repository_and_builds_own_neither_it_nor_their_logs():
    places = Declared("release", ssh_user="ada").files[PLACES]
    owners = {path: entry.owner for path, entry in places.items()}
    assert {path for path, owner in owners.items() if owner == "release"} == {
        f"{DATA}/home",
        f"{DATA}/releases",
    }
    pushed = {path for path, owner in owners.items() if owner == "ada"}
    assert pushed == {path for path in owners if path.startswith(f"{DATA}/repository.git")}
