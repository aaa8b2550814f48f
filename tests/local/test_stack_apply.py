"""`corral stack diff`, `apply` and `outputs`, against the lab's API: new, changed, refused, interrupted."""

import hashlib
import json
import threading
from datetime import timedelta

import pytest

from corral import secrets
from corral.aws import client
from corral.cloudformation import change_sets as engine
from corral.cloudformation import expiry, stacks, templates
from corral.cloudformation.request import Wishes
from corral.errors import CorralError
from corral.stack import render
from corral.stack.template import compact
from tests.local.lab_cloud import cloud  # noqa: F401
from tests.local.stack_command import (  # noqa: F401
    answer_hooks,
    but,
    change_sets,
    corral_stack,
    give_servers,
    ids,
    members,
    of,
    small,
)

PASSWORD = "app/database-password"


def nothing_is_there(settings):
    """Whether neither a stack, nor a parameter of the environment exists."""
    return stacks.find(settings) is None and secrets.names(settings) == []


@pytest.fixture
def there(of):
    """An environment that is there; each test may change it, and finds it as its settings say."""
    settings = of("lab-branch/there")
    corral_stack(settings, "apply", "-y", "--allow-replacement")
    give_servers(settings)
    return settings


def test_a_new_environment_is_shown_made_and_found_as_it_should_be(of):
    settings = of("lab-branch/new")
    shown = corral_stack(settings, "diff", "--exit-code")
    assert shown.exit_code == 2
    assert "Stack chat-new (account 123456789012, eu-west-1) will be created:" in shown.output
    assert "  added       4 AWS::AutoScaling::AutoScalingGroup\n" in shown.output
    assert nothing_is_there(settings), "a look leaves nothing behind"

    with pytest.raises(CorralError, match="nobody to ask"):
        corral_stack(settings, "apply")
    assert nothing_is_there(settings), "who did not agree made nothing"

    made = corral_stack(settings, "apply", "-y")
    assert made.exit_code == 0
    assert "CREATE_COMPLETE             Vpc  AWS::EC2::VPC" in made.output
    assert "Servers to come boot image ami-0deb1a13000000001." in made.output
    assert "https://new.branch.chat.localhost/" in made.output
    assert "\x1b" not in made.output, "progress is plain where there is no terminal"
    stack = stacks.find(settings)
    assert stack.status == "CREATE_COMPLETE"
    assert stack.tags == {
        "corral:project": "chat",
        "corral:environment": "new",
        "corral:file": "lab-branch",
    }
    assert stack.outputs["Expires"] == (expiry.today() + timedelta(days=7)).isoformat()

    assert (
        "Stack chat-new is as its settings say: nothing to change." in corral_stack(settings, "diff").output
    )
    assert corral_stack(settings, "diff", "--exit-code").exit_code == 0
    assert json.loads(corral_stack(settings, "diff", "--json").stdout)["changes"] == []
    again = corral_stack(settings, "apply", "-y")
    assert "nothing to change" in again.output
    assert stacks.find(settings).status == "CREATE_COMPLETE"
    assert change_sets(settings) == []


def test_the_password_is_made_once_and_shown_to_nobody(there):
    ssm, name = client(there, "ssm"), there.parameter("app", "database-password")
    kept = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
    assert kept["Type"] == "SecureString"
    assert len(kept["Value"]) >= 32
    output = corral_stack(but(there, "app", max=3), "apply", "-y").output
    again = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
    assert (again["Value"], again["Version"]) == (kept["Value"], 1)
    assert kept["Value"] not in output
    assert name not in output


def test_two_secrets_differ(there):
    assert secrets.make_once(there, "app", "one")
    assert secrets.make_once(there, "app", "two")
    ssm = client(there, "ssm")
    values = {
        ssm.get_parameter(Name=there.parameter("app", name))["Parameter"]["Value"] for name in ("one", "two")
    }
    assert len(values) == 2


def test_a_change_is_told_property_by_property_and_servers_stay(there):
    other = but(but(there, "app", instance_type="t3.medium"), "db", disk_gib=30)
    before = [members(there, role) for role in ("app", "db")]
    shown = corral_stack(other, "diff")
    assert shown.stdout.splitlines() == [
        "Stack chat-there (account 123456789012, eu-west-1) will change:",
        "  changed   AppGroup  AWS::AutoScaling::AutoScalingGroup",
        "            LaunchTemplate.Version: 1 → known after the change",
        "  changed   AppLaunch  AWS::EC2::LaunchTemplate",
        "            LaunchTemplateData.InstanceType: t3.small → t3.medium",
        "  changed   DbGroup  AWS::AutoScaling::AutoScalingGroup",
        "            LaunchTemplate.Version: 1 → known after the change",
        "  changed   DbLaunch  AWS::EC2::LaunchTemplate",
        "            LaunchTemplateData.BlockDeviceMappings.0.Ebs.VolumeSize: 20 → 30",
        "  chat-there-app: 1 running server stays as it is; those to come are launched the new way.",
        "  chat-there-db: 1 running server stays as it is; those to come are launched the new way.",
        "4 changed.",
    ]
    assert change_sets(there) == []
    data = json.loads(corral_stack(other, "diff", "--json").stdout)
    assert data["servers"] == [
        {"group": f"chat-there-{role}", "count": 1, "moves": False, "leaving": []} for role in ("app", "db")
    ]
    assert {"path": "LaunchTemplateData.InstanceType", "before": "t3.small", "after": "t3.medium"} in [
        each for change in data["changes"] for each in change["properties"]
    ]

    applied = corral_stack(other, "apply", "-y")
    assert "UPDATE_COMPLETE             AppGroup" in applied.output
    assert [members(there, role) for role in ("app", "db")] == before
    assert "nothing to change" in corral_stack(other, "diff").output


def test_another_rule_of_a_security_group_leaves_launch_templates_as_they_are(there):
    shown = corral_stack(but(there, "network", direct_ssh_cidrs=("10.200.1.0/24",)), "diff").stdout
    changed = [line.split()[1] for line in shown.splitlines() if line.startswith("  changed ")]
    assert changed == [f"{role}SecurityGroup" for role in ("App", "Db", "Elk", "Release")]


@pytest.fixture
def served(of):
    """An environment whose hosts answer their groups' hooks, as real ones would."""
    settings, done = of("lab-branch/served"), threading.Event()
    corral_stack(settings, "apply", "-y")
    give_servers(settings)
    thread = threading.Thread(target=answer_hooks, args=[settings, done], daemon=True)
    thread.start()
    yield settings
    done.set()
    thread.join()


def test_servers_are_replaced_when_that_is_asked_for_and_only_then(served):
    before = {role: members(served, role) for role in ("app", "db")}
    other = but(served, "app", instance_type="t3.large")
    corral_stack(other, "apply", "-y")
    assert {role: members(served, role) for role in ("app", "db")} == before

    looked = corral_stack(other, "diff", "--replace-servers").stdout
    assert "  chat-served-app: 1 running server will be replaced.\n" in looked
    assert "  chat-served-db: no server is to be replaced.\n" in looked
    assert "Only in whether a change may replace its servers." in looked
    replaced = corral_stack(other, "apply", "-y", "--replace-servers")
    assert replaced.exit_code == 0
    assert members(served, "app") != before["app"]
    assert members(served, "db") == before["db"]
    assert stacks.find(served).parameters["ReplaceServers"] == "no", "the consent was for one change"
    assert "nothing to change" in corral_stack(other, "diff").output

    for words in (["diff", "--exit-code"], ["apply", "-y"]):
        again = corral_stack(other, *words, "--replace-servers")
        assert again.exit_code == 0
        assert "--replace-servers has no effect." in again.output
    assert change_sets(served) == []


def test_servers_are_not_moved_to_other_zones_without_a_word(there, of):
    [server] = members(there, "app")
    [database] = members(there, "db")
    other = but(there, "db", zone="eu-west-1b", data_volume=ids(there)["DbVolume"])
    wider = of(there.reference).model_copy(update={"zones": (*there.zones, "eu-west-1c")})

    shown = corral_stack(other, "diff").stdout
    assert f"chat-there-db: other subnets. Of its servers {database} would go, others perhaps" in shown
    assert "apply refuses this. This would replace or delete what holds data: DbVolume" in shown
    shown = corral_stack(wider, "diff").stdout
    assert "chat-there-app: other subnets. Of its servers some would go, for new ones elsewhere." in shown
    assert "apply refuses this. This would move running servers to other subnets: chat-there-app." in shown
    [told] = json.loads(corral_stack(wider, "diff", "--json").stdout)["servers"]
    assert (told["group"], told["moves"], told["leaving"]) == ("chat-there-app", True, [])
    with pytest.raises(CorralError, match="This would move running servers to other subnets") as caught:
        corral_stack(wider, "apply", "-y")
    assert caught.value.remedy.endswith("or, if they may go: --replace-servers")
    assert change_sets(there) == []
    assert (members(there, "app"), members(there, "db")) == ([server], [database])


def test_a_server_moves_to_another_zone_when_that_is_asked_for(served):
    [before] = members(served, "db")
    made = client(served, "ec2").create_volume(AvailabilityZone="eu-west-1b", Size=1)["VolumeId"]
    other = but(served, "db", zone="eu-west-1b", data_volume=made)
    with pytest.raises(CorralError) as caught:
        corral_stack(other, "apply", "-y", "--allow-replacement")
    assert caught.value.problem == (
        f"This would move running servers to other subnets: chat-served-db ({before} at least)."
    )
    asked = ("--allow-replacement", "--replace-servers")
    assert (
        "chat-served-db: 1 running server will be replaced."
        in corral_stack(other, "apply", "-y", *asked).output
    )
    [after] = members(served, "db")
    found = client(served, "ec2").describe_instances(InstanceIds=[after])["Reservations"][0]["Instances"][0]
    assert found["Placement"]["AvailabilityZone"] == "eu-west-1b"
    assert "nothing to change" in corral_stack(other, "diff").output


@pytest.mark.parametrize(
    ("change", "named", "remedy"),
    [
        ({"network": {"cidr": "10.99.0.0/16"}}, "PrivateA (subnet-", "undo network.cidr"),
        ({"zones": ("eu-west-1b", "eu-west-1a")}, "PrivateA (subnet-", "Zones keep their order"),
        ({"zones": ("eu-west-1a", "eu-west-1c")}, "PrivateB (subnet-", "Zones keep their order"),
    ],
)
def test_a_network_is_not_made_a_second_time_whatever_the_options(there, of, change, named, remedy):
    fresh = of(there.reference)
    if "network" in change:
        other = but(fresh, "network", **change["network"])
    else:
        other = fresh.model_copy(update=change)
    with pytest.raises(CorralError, match="This would make the network a second time") as caught:
        corral_stack(other, "apply", "-y", "--allow-replacement", "--replace-servers")
    assert named in caught.value.problem
    assert remedy in caught.value.remedy
    assert caught.value.remedy.endswith("make a new environment, and move to it.")
    assert change_sets(there) == []


def test_no_is_no(there, monkeypatch):
    monkeypatch.setattr("corral.cli.stack.asking.a_person_is_there", lambda: True)
    run = corral_stack(but(there, "app", max=5), "apply", input="n\n")
    assert run.exit_code == 1
    assert change_sets(there) == []
    assert "nothing to change" in corral_stack(there, "diff").output


def test_what_holds_data_is_not_replaced_without_a_word(there):
    other = there.model_copy(update={"domain": "elsewhere.localhost"})
    old = ids(there)["SiteZone"]
    shown = corral_stack(other, "diff")
    assert f"  replaced  SiteZone  AWS::Route53::HostedZone {old}" in shown.output
    assert "It holds data, and the one that takes its place is empty." in shown.output
    with pytest.raises(CorralError) as caught:
        corral_stack(other, "apply", "-y")
    assert caught.value.problem == f"This would replace or delete what holds data: SiteZone ({old})."
    assert caught.value.remedy.endswith("--allow-replacement")
    assert ids(there)["SiteZone"] == old
    assert change_sets(there) == []
    corral_stack(other, "apply", "-y", "--allow-replacement")
    assert ids(there)["SiteZone"] != old


def test_a_day_of_expiry_is_kept_until_another_is_said(there):
    def day(days):
        return (expiry.today() + timedelta(days=days)).isoformat()

    corral_stack(there, "apply", "-y", "--expires-in", "20")
    assert stacks.find(there).outputs["Expires"] == day(20)
    corral_stack(but(there, "app", max=6), "apply", "-y")
    assert stacks.find(there).outputs["Expires"] == day(20)
    shown = corral_stack(but(there, "app", max=6), "apply", "-y", "--expires-in", "3")
    assert f"  Expires: {day(20)} → {day(3)}" in shown.output
    assert "No resource changes." in shown.output
    assert stacks.find(there).outputs["Expires"] == day(3)


def test_a_file_of_branches_is_no_environment_without_the_name_of_one(of):
    settings = of("lab-branch")
    for words in (["apply", "-y"], ["diff"], ["delete", "--yes", "lab-branch"]):
        with pytest.raises(CorralError) as caught:
            corral_stack(settings, *words)
        assert caught.value.problem.startswith("environments/lab-branch.toml is a file of branches:")
        assert caught.value.remedy.endswith("-e lab-branch --branch feature-x")
    assert nothing_is_there(settings)
    assert "has expired" in corral_stack(settings, "expired").output


def test_only_environments_of_branches_expire(of):
    with pytest.raises(CorralError, match="Environment lab is no branch's: it does not expire"):
        corral_stack(of("lab"), "apply", "-y", "--expires-in", "3")


def test_a_new_image_comes_when_asked_for_and_goes_back_when_it_is_not_wanted(there, monkeypatch):
    ssm, name = client(there, "ssm"), "/corral/there/image"

    def pinned():
        return ssm.get_parameter(Name=name)["Parameter"]["Value"]

    newest = pinned()
    ssm.put_parameter(Name=name, Value="ami-0deb1a13000000002", Type="String", Overwrite=True)
    corral_stack(there, "apply", "-y")
    looked = corral_stack(there, "diff", "--new-image")
    assert f"LaunchTemplateData.ImageId: ami-0deb1a13000000002 → {newest}" in looked.output
    with pytest.raises(CorralError, match="nobody to ask"):
        corral_stack(there, "apply", "--new-image")
    assert pinned() == "ami-0deb1a13000000002"
    applied = corral_stack(there, "apply", "-y", "--new-image")
    assert f"Servers to come boot image {newest}, instead of ami-0deb1a13000000002." in applied.output
    assert pinned() == newest


def test_outputs(there, of):
    with pytest.raises(CorralError, match="There is no stack chat-nowhere in eu-west-1") as caught:
        corral_stack(of("lab-branch/nowhere"), "outputs")
    assert caught.value.remedy == "Create it: corral stack apply -e lab-branch/nowhere"
    found = json.loads(corral_stack(there, "outputs", "--json").stdout)
    assert found["ReleasesBucket"] == "chat-there-releases-123456789012"
    assert "  ReleasesBucket  chat-there-releases-123456789012\n" in corral_stack(there, "outputs").output


def test_another_account_is_refused_before_anything_is_made(of):
    settings = of("lab-branch/foreign")
    elsewhere = settings.model_copy(update={"account": "999999999999"})
    for words in (["apply", "-y"], ["diff"], ["delete", "--yes", "foreign"], ["expired"]):
        with pytest.raises(CorralError, match="are for account 123456789012, but environment foreign lives"):
            corral_stack(elsewhere, *words)
    assert nothing_is_there(settings)


def test_everything_that_the_account_lacks_is_said_before_anything_is_made(of):
    settings = but(of("lab-branch/wanting"), "app", instance_type="t3.gigantic")
    with pytest.raises(CorralError, match=r"2 things are not there for lab-branch/wanting \(account 1234"):
        corral_stack(but(settings, "ssh", key_name="nobodys"), "apply", "-y")
    assert nothing_is_there(settings)


def test_a_big_template_goes_by_the_bucket_of_templates(of, monkeypatch):
    monkeypatch.setattr(templates, "INLINE_BYTES", 1000)
    settings = of("lab-branch/big")
    corral_stack(settings, "apply", "-y")
    assert stacks.find(settings).status == "CREATE_COMPLETE"
    # Its neighbours' are in it as well.
    body = compact(render(settings)).encode()
    key = f"{hashlib.sha256(body).hexdigest()}.json"
    there = client(settings, "s3").get_object(Bucket=templates.bucket_name(settings), Key=key)
    assert there["Body"].read() == body
    assert "nothing to change" in corral_stack(settings, "diff").output


# Of applies that were interrupted, that met others, that failed


def test_the_shell_that_a_killed_apply_left_is_no_hindrance(of):
    settings = of("lab-branch/killed")
    engine.propose(settings, small(settings), Wishes())
    assert stacks.find(settings).status == "REVIEW_IN_PROGRESS"
    with pytest.raises(CorralError, match="There is no stack chat-killed"):
        corral_stack(settings, "outputs")
    corral_stack(settings, "apply", "-y")
    assert stacks.find(settings).status == "CREATE_COMPLETE"
    assert change_sets(settings) == []


def test_of_two_applies_at_once_one_is_void(of):
    settings = of("lab-branch/twice")
    mine, theirs = (engine.propose(settings, small(settings), Wishes()) for _ in range(2))
    assert mine.stack_id == theirs.stack_id
    list(engine.carry_out(settings, theirs))
    with pytest.raises(CorralError, match="Somebody else changed stack chat-twice at the same moment"):
        list(engine.carry_out(settings, mine))
    assert stacks.find(settings).status == "CREATE_COMPLETE"


def test_a_creation_that_fails_says_why_and_leaves_nothing(of):
    settings = of("lab-branch/failing")
    proposal = engine.propose(settings, small(settings, "Bad"), Wishes())
    with pytest.raises(CorralError) as caught:
        list(engine.carry_out(settings, proposal))
    state, cause, now = caught.value.problem.splitlines()
    assert state == "Stack chat-failing ended in state DELETE_COMPLETE."
    assert cause.startswith("First failure: Bad (AWS::EC2::Subnet): ")
    assert "vpc-0" in cause
    assert now.startswith("What was made is deleted again: there is no stack.")
    assert nothing_is_there(settings)


def test_an_update_that_fails_says_why_and_that_all_is_as_before(of):
    settings = of("lab-branch/returning")
    list(engine.carry_out(settings, engine.propose(settings, small(settings), Wishes())))
    proposal = engine.propose(settings, small(settings, "Bad"), Wishes())
    with pytest.raises(CorralError) as caught:
        list(engine.carry_out(settings, proposal))
    state, cause, now = caught.value.problem.splitlines()
    assert state == "Stack chat-returning ended in state UPDATE_ROLLBACK_COMPLETE."
    assert cause.startswith("First failure: Bad")
    assert now == "Everything is as it was before."
