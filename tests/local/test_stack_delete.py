"""`corral stack delete` and `expired`, against the lab's API: what goes, what stays, what comes back."""

from datetime import timedelta

import pytest

from corral import secrets
from corral.aws import client
from corral.cli.stack import expiring
from corral.cloudformation import change_sets as engine
from corral.cloudformation import emptying, expiry, stacks
from corral.cloudformation.request import Wishes
from corral.errors import CorralError
from corral.settings import load
from tests.local.lab_cloud import cloud  # noqa: F401
from tests.local.stack_command import (  # noqa: F401
    but,
    change_sets,
    corral_stack,
    ids,
    lives_in,
    make_small,
    of,
    records,
    write_record,
)


def every_parameter(settings):
    """The names of all that an environment has in Parameter Store."""
    made = [settings.parameter(role, name) for role, name, _ in secrets.EVERY]
    return sorted([*made, settings.image_parameter])


def put(settings, key="key", versions=1):
    for _ in range(versions):
        client(settings, "s3").put_object(Bucket=settings.releases_bucket, Key=key, Body=b"precious")


def test_an_environment_that_keeps_its_data_comes_back_with_it(of):
    settings = of("lab")
    corral_stack(settings, "apply", "-y")
    put(settings)
    there = ids(settings)
    write_record(settings, there["PrivateZone"], "db.lab.internal")
    write_record(settings, there["SiteZone"], "extra.chat.localhost")

    with pytest.raises(CorralError, match="nobody to ask"):
        corral_stack(settings, "delete")
    with pytest.raises(CorralError, match="'live' is not the name lab: nothing was deleted"):
        corral_stack(settings, "delete", "--yes", "live")
    assert records(settings, there["PrivateZone"]) == {"db.lab.internal"}

    gone = corral_stack(settings, "delete", "--yes", "lab").output
    stays = {"ReleasesBucket", "LogsBucket", "SiteZone", "DbVolume", "ElkVolume", "ReleaseVolume"}
    for name in stays:
        assert f"  stays: {name}  " in gone
        assert f"{there[name]} (" in gone.partition("These stay, and cost money")[2]
    assert "Deleted from hosted zone " + there["PrivateZone"] + ": db.lab.internal." in gone
    assert "Stack chat-lab is deleted." in gone
    assert stacks.find(settings) is None
    assert "extra.chat.localhost" in records(settings, there["SiteZone"]), "what stays is not emptied"
    assert secrets.names(settings) == every_parameter(settings)
    with pytest.raises(CorralError, match="There is no stack chat-lab in eu-west-1"):
        corral_stack(settings, "delete", "--yes", "lab")

    back = corral_stack(settings, "apply", "-y").output
    for name in ("ReleasesBucket", "ReleasesBucketPolicy", "LogsBucket", "LogsBucketPolicy"):
        assert f"  imported  {name}  " in back
    assert "Made the secret" not in back
    found = client(settings, "s3").get_object(Bucket=settings.releases_bucket, Key="key")
    assert found["Body"].read() == b"precious"
    assert "nothing to change" in corral_stack(settings, "diff").output


def test_an_environment_of_a_branch_takes_its_data_with_it(of):
    settings = of("lab-branch/short")
    corral_stack(settings, "apply", "-y")
    there = ids(settings)
    put(settings, versions=3)
    client(settings, "s3").delete_object(Bucket=settings.releases_bucket, Key="key")
    write_record(settings, there["PrivateZone"], "elk.short.internal")
    other = of("lab-branch/shorter")
    secrets.make_once(other, "app", "one")

    gone = corral_stack(settings, "delete", "--yes", "short").output
    assert f"  deleted with its data: ReleasesBucket  AWS::S3::Bucket {settings.releases_bucket}" in gone
    assert f"Deleted 4 objects and versions from {settings.releases_bucket}." in gone
    assert f"Deleted {len(secrets.EVERY) + 1} parameters under /corral/short/." in gone
    assert "These stay" not in gone
    assert stacks.find(settings) is None
    buckets = {each["Name"] for each in client(settings, "s3").list_buckets()["Buckets"]}
    assert settings.releases_bucket not in buckets
    zones = client(settings, "route53").list_hosted_zones()["HostedZones"]
    assert not [zone for zone in zones if "short." in zone["Name"]]
    assert secrets.names(settings) == []
    assert secrets.names(other) == ["/corral/shorter/app/one"], "another's are left alone"


def test_two_projects_do_not_share_an_environments_name(of):
    chat = of("lab-branch/common")
    shop = chat.model_copy(update={"project": "shop"})
    corral_stack(chat, "apply", "-y")
    for words in (["apply", "-y"], ["diff"]):
        with pytest.raises(CorralError, match="/corral/common/image belongs to project chat"):
            corral_stack(shop, *words)
    assert stacks.find(shop) is None
    assert change_sets(chat) == []

    # One that was there before the other came, as if nobody had looked.
    make_small(shop, 7)
    secrets.make_once(shop, "app", "theirs")
    assert "Deleted 1 parameters under" in corral_stack(shop, "delete", "--yes", "common").output
    assert secrets.names(chat) == every_parameter(chat)
    assert "nothing to change" in corral_stack(chat, "diff").output


def test_a_stack_of_the_same_name_is_another_environments(of):
    one = of("lab-branch/b").model_copy(update={"project": "chat-a"})
    other = of("lab-branch/a-b")
    assert one.stack_name == other.stack_name
    make_small(one, 7)
    for words in (["apply", "-y"], ["diff"], ["outputs"], ["delete", "--yes", "a-b"]):
        with pytest.raises(CorralError, match="Stack chat-a-b is that of project chat-a, environment b"):
            corral_stack(other, *words)
    assert stacks.find(one).status == "CREATE_COMPLETE"


def test_a_person_types_the_name(of, monkeypatch):
    settings = of("lab-branch/typed")
    make_small(settings, 7)
    monkeypatch.setattr("corral.cli.stack.asking.a_person_is_there", lambda: True)
    with pytest.raises(CorralError, match="'y' is not the name typed: nothing was deleted"):
        corral_stack(settings, "delete", input="y\n")
    assert stacks.find(settings).status == "CREATE_COMPLETE"
    assert "Type the environment's name (typed)" in corral_stack(settings, "delete", input="typed\n").output
    assert stacks.find(settings) is None


def test_what_is_protected_is_not_deleted_nor_emptied(of):
    settings = of("lab-branch/guarded")
    guarded = settings.model_copy(update={"termination_protection": True})
    balanced = but(settings, "balancer", deletion_protection=True)
    corral_stack(guarded, "apply", "-y")
    put(settings)
    with pytest.raises(CorralError, match="Environment guarded is protected from its deletion") as caught:
        corral_stack(guarded, "delete", "--yes", "guarded")
    assert "set termination_protection = false, then corral stack apply -e lab-branch/guarded" in str(
        caught.value
    )
    with pytest.raises(
        CorralError, match=r"Stack chat-guarded is protected .* its settings no longer say so"
    ):
        corral_stack(settings, "delete", "--yes", "guarded")
    corral_stack(balanced, "apply", "-y")
    with pytest.raises(CorralError, match="The load balancer of guarded is protected from its deletion"):
        corral_stack(settings, "delete", "--yes", "guarded")
    keeping = settings.model_copy(update={"keep_data": True})
    corral_stack(settings, "apply", "-y")
    with pytest.raises(CorralError, match=r"keep data \(keep_data\), but the stack as it is would delete"):
        corral_stack(keeping, "delete", "--yes", "guarded")
    assert client(settings, "s3").list_objects_v2(Bucket=settings.releases_bucket)["KeyCount"] == 1
    assert stacks.find(settings).status == "UPDATE_COMPLETE"


def test_a_deletion_that_something_holds_up_says_what_and_goes_on_when_it_is_run_again(of, monkeypatch):
    settings = of("lab-branch/held")
    corral_stack(settings, "apply", "-y")
    zone = ids(settings)["PrivateZone"]
    write_record(settings, zone, "db.held.internal")
    with monkeypatch.context() as blind:
        blind.setattr(emptying, "zones", lambda *_: None)
        with pytest.raises(CorralError) as caught:
            corral_stack(settings, "delete", "--yes", "held")
    lines = caught.value.problem.splitlines()
    assert lines[0] == "Stack chat-held is not wholly deleted. What holds on:"
    assert lines[1].startswith(f"  PrivateZone ({zone}): ")
    assert caught.value.remedy.endswith("it goes on: corral stack delete -e lab-branch/held")
    with pytest.raises(CorralError, match="is in state DELETE_FAILED"):
        corral_stack(settings, "apply", "-y")
    corral_stack(settings, "delete", "--yes", "held")
    assert stacks.find(settings) is None


def test_a_host_that_writes_its_name_again_is_outlived(of, monkeypatch):
    settings = of("lab-branch/stubborn")
    corral_stack(settings, "apply", "-y")
    zone, empty = ids(settings)["PrivateZone"], emptying.zones
    writes = iter(["db.stubborn.internal"])

    def empty_and_write_again(*words):
        empty(*words)
        for name in writes:
            write_record(settings, zone, name)

    monkeypatch.setattr(emptying, "zones", empty_and_write_again)
    output = corral_stack(settings, "delete", "--yes", "stubborn").output
    assert "DELETE_FAILED" in output
    assert "Stack chat-stubborn is deleted." in output


def test_what_was_never_made_is_deleted_even_where_environments_are_protected(of):
    settings = of("lab-branch/shell").model_copy(update={"termination_protection": True})
    engine.propose(settings, '{"Resources": {"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock":'
                   ' "10.1.0.0/16"}}}}', Wishes())  # fmt: skip
    corral_stack(settings, "delete", "--yes", "shell")
    assert stacks.find(settings) is None


def test_parameters_that_a_killed_deletion_left_are_deleted_by_the_next(of, monkeypatch):
    settings = of("lab-branch/rest")
    secrets.make_once(settings, "app", "one")
    with pytest.raises(CorralError, match="nobody to ask"):
        corral_stack(settings, "delete")
    output = corral_stack(settings, "delete", "--yes", "rest").output
    assert "There is no stack chat-rest; of the environment there is still:" in output
    assert "  /corral/rest/app/one" in output
    assert secrets.names(settings) == []


# Environments that expire


@pytest.fixture
def later(cloud, monkeypatch):
    """Let it be so many days later; settings that are read of files live in the lab's API."""
    monkeypatch.setattr(expiring.environments, "load", lambda name: lives_in(cloud, load(name)))
    today = expiry.today()
    return lambda days: monkeypatch.setattr(expiry, "today", lambda: today + timedelta(days=days))


def test_environments_whose_day_is_over_are_listed_and_deleted(of, later):
    one, other, lab = of("lab-branch/first"), of("lab-branch/second"), of("lab")
    make_small(one, 1)
    make_small(other, 3)
    secrets.make_once(one, "app", "one")

    assert "No environment of chat has expired" in corral_stack(lab, "expired").output
    both = corral_stack(lab, "expired", "--all").output.splitlines()
    rows = [line.split() for line in both if line.strip().startswith("lab-branch/")]
    ours = [row for row in rows if row[0] in {"lab-branch/first", "lab-branch/second"}]
    assert [row[:3] for row in ours] == [
        ["lab-branch/first", "first.branch.chat.localhost", str(expiry.today() + timedelta(days=1))],
        ["lab-branch/second", "second.branch.chat.localhost", str(expiry.today() + timedelta(days=3))],
    ]
    later(1)
    assert "No environment of chat has expired" in corral_stack(lab, "expired").output
    later(2)
    listed = corral_stack(lab, "expired").output
    assert "lab-branch/first" in listed
    assert "lab-branch/second" not in listed
    with pytest.raises(CorralError, match="nobody to ask"):
        corral_stack(lab, "expired", "--delete")
    corral_stack(lab, "expired", "--delete", "-y")
    assert stacks.find(one) is None
    assert secrets.names(one) == []
    assert stacks.find(other).status == "CREATE_COMPLETE"


def test_each_is_asked_about_and_one_that_cannot_go_keeps_no_other(of, later, monkeypatch):
    names = ["a-spared", "b-guarded", "c-gone"]
    environments = {name: of(f"lab-branch/{name}") for name in names}
    for settings in environments.values():
        make_small(settings, 0)
    guarded = environments["b-guarded"].model_copy(update={"termination_protection": True})
    stacks.protect(guarded)
    later(1)
    monkeypatch.setattr("corral.cli.stack.asking.a_person_is_there", lambda: True)
    with pytest.raises(CorralError, match=r"Not deleted: lab-branch/b-guarded\."):
        corral_stack(of("lab"), "expired", "--delete", input="n\ny\n")
    assert [bool(stacks.find(environments[name])) for name in names] == [True, True, False]


def test_a_file_that_says_another_region_now_deletes_nothing(of, later):
    settings = of("lab-branch/moved")
    make_small(settings, 0)
    later(1)
    [found] = [each for each in expiry.of(stacks.of_project(settings)) if "moved" in each.reference]
    elsewhere = of("lab").model_copy(update={"region": "eu-central-1"})
    with pytest.raises(CorralError, match="now says another account, region or project than its stack is in"):
        expiring._settings_of(found, elsewhere)


def test_a_day_of_expiry_is_over_when_the_day_is():
    found = expiry.Expiry(expiry.today(), "branch/x", "x.example.com", None)
    assert not found.expired(expiry.today())
    assert found.expired(expiry.today() + timedelta(days=1))
