"""Servers come to an environment with its first bundle, and never go by `apply`; against the lab's API."""

import pytest

from corral.aws import client
from corral.bundle.store import pointer_key
from corral.cloudformation import stacks
from corral.errors import CorralError
from tests.local.lab_cloud import cloud  # noqa: F401
from tests.local.stack_command import (  # noqa: F401
    but,
    change_sets,
    corral_stack,
    give_servers,
    ids,
    members,
    name_a_bundle,
    of,
)

NEXT = """\
There are no servers yet: they configure themselves, by a bundle. What to type next:
  corral release publish $(corral release build) -e lab-branch/{0}
  corral release runtimes publish -e lab-branch/{0}
  corral release point VERSION -e lab-branch/{0}
  corral bundle publish --point -e lab-branch/{0}
  corral stack apply -e lab-branch/{0}
Read more: docs/stack.md
"""
NONE = "  No server is launched: the environment does not name a bundle and a release yet.\n"
ROLES = ("app", "db", "elk", "release")
NOBODY = [(0, 0, 0)] * 4


def sizes(settings):
    """Least, wanted and most of each role's group."""
    names = [settings.role_name(role) for role in ROLES]
    found = client(settings, "autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=names)
    groups = {each["AutoScalingGroupName"]: each for each in found["AutoScalingGroups"]}
    return [tuple(groups[name][key] for key in ("MinSize", "DesiredCapacity", "MaxSize")) for name in names]


def as_its_settings_say(settings):
    app = settings.app
    return [(app.min, app.desired, app.max), *[(1, 1, 1)] * 3]


def alarms(settings):
    found = client(settings, "cloudwatch").describe_alarms(AlarmNamePrefix=settings.stack_name)
    return len(found["MetricAlarms"])


def read_from_s3(settings):
    """A list of what is read from S3 from now on; a big template that is put there is no look."""
    calls = []
    client(settings, "s3").meta.events.register(
        "before-call.s3.GetObject", lambda model, **_: calls.append(model.name)
    )
    return calls


def test_there_are_no_servers_before_there_is_a_bundle_and_it_is_said_what_to_do(of):
    settings = of("lab-branch/bare")
    shown = corral_stack(settings, "diff").stdout
    assert NONE in shown
    made = corral_stack(settings, "apply", "-y")
    assert NONE in made.stdout
    assert made.stdout.endswith(NEXT.format("bare"))
    assert stacks.find(settings).status == "CREATE_COMPLETE"
    assert sizes(settings) == NOBODY
    assert alarms(settings) == 0, "nobody need be told that no server answers"

    # It is said as long as it is so, and nothing else is done; not even with the consent to replace servers.
    for words in (["apply", "-y"], ["apply", "-y", "--replace-servers"]):
        again = corral_stack(settings, *words)
        assert "nothing to change" in again.stdout
        assert again.stdout.endswith(NEXT.format("bare"))
    assert "UPDATE_COMPLETE" in corral_stack(but(settings, "app", disk_gib=30), "apply", "-y").stdout
    assert sizes(settings) == NOBODY
    assert "Stack chat-bare is deleted." in corral_stack(settings, "delete", "--yes", "bare").stdout


def test_with_the_bundle_come_the_servers(of):
    settings = of("lab-branch/coming")
    corral_stack(settings, "apply", "-y")
    name_a_bundle(settings)
    shown = corral_stack(settings, "diff").stdout
    one = ["            DesiredCapacity: 0 → 1", "            MaxSize: 0 → 1", "            MinSize: 0 → 1"]
    group = "AWS::AutoScaling::AutoScalingGroup"
    alarm = "AWS::CloudWatch::Alarm"
    assert shown.splitlines() == [
        "Stack chat-coming (account 123456789012, eu-west-1) will change:",
        f"  changed   AppGroup  {group}",
        "            DesiredCapacity: 0 → 1",
        f"            MaxSize: 0 → {settings.app.max}",
        "            MinSize: 0 → 1",
        *[line for role in ("Db", "Elk", "Release") for line in (f"  changed   {role}Group  {group}", *one)],
        f"  added     AppErrorsAlarm  {alarm}",
        f"  added     BalancerErrorsAlarm  {alarm}",
        f"  added     NoHostsAlarm  {alarm}",
        f"  added     UnhealthyHostsAlarm  {alarm}",
        "  Servers: no → yes",
        "4 changed, 4 added.",
    ]
    assert sizes(settings) == NOBODY
    applied = corral_stack(settings, "apply", "-y").stdout
    assert "Stack chat-coming is as its settings say.\n" in applied
    assert "no servers" not in applied
    assert sizes(settings) == as_its_settings_say(settings)
    assert [len(members(settings, role)) for role in ROLES] == [1, 1, 1, 1]
    assert alarms(settings) == 4
    assert "nothing to change" in corral_stack(settings, "diff").stdout


def test_a_bundle_alone_brings_no_servers_for_app_servers_need_a_release(of):
    settings = of("lab-branch/half")
    corral_stack(settings, "apply", "-y")
    name_a_bundle(settings, release=False)
    assert corral_stack(settings, "apply", "-y").stdout.endswith(NEXT.format("half"))
    assert sizes(settings) == NOBODY


def test_what_was_scaled_by_hand_stays_so(of):
    settings = of("lab-branch/scaled")
    corral_stack(settings, "apply", "-y")
    give_servers(settings)
    name = settings.role_name("app")
    client(settings, "autoscaling").set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=2)
    assert "  changed   AppGroup" in corral_stack(but(settings, "app", disk_gib=30), "apply", "-y").stdout
    assert sizes(settings)[0] == (1, 2, 2)


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_a_fleet_outlives_the_pointer_to_its_bundle(of, how):
    settings = of("lab-branch/outliving")
    corral_stack(settings, "apply", "-y")
    give_servers(settings)
    before = [members(settings, role) for role in ROLES]
    if how == "gone":
        key = pointer_key(settings.environment)
        client(settings, "s3").delete_object(Bucket=settings.releases_bucket, Key=key)
    else:
        name_a_bundle(settings, "{")
    calls = read_from_s3(settings)
    assert "nothing to change" in corral_stack(settings, "diff").stdout
    assert "nothing to change" in corral_stack(settings, "apply", "-y").stdout
    corral_stack(but(settings, "app", disk_gib=30), "apply", "-y")
    corral_stack(settings, "apply", "-y")
    assert calls == [], "nobody looks for a bundle where there are servers"
    assert stacks.find(settings).parameters["Servers"] == "yes"
    assert sizes(settings) == as_its_settings_say(settings)
    assert [members(settings, role) for role in ROLES] == before


def test_one_look_tells_that_there_is_no_bundle(of):
    settings = of("lab-branch/looking")
    corral_stack(settings, "apply", "-y")
    for words in (["diff"], ["apply", "-y"]):
        calls = read_from_s3(settings)
        corral_stack(settings, *words)
        assert calls == ["GetObject"]


def test_an_environment_that_left_its_bucket_comes_back_with_servers_at_once(of):
    settings = of("lab-branch/returned").model_copy(update={"keep_data": True})
    corral_stack(settings, "apply", "-y")
    name_a_bundle(settings)
    corral_stack(settings, "delete", "--yes", "returned")
    back = corral_stack(settings, "apply", "-y").stdout
    assert "  imported  ReleasesBucket  " in back
    assert "no servers" not in back
    assert "No server" not in back
    assert sizes(settings) == as_its_settings_say(settings)


def test_a_pointer_that_makes_no_sense_is_told_before_anything_is_changed(of):
    settings = of("lab-branch/senseless")
    corral_stack(settings, "apply", "-y")
    name_a_bundle(settings, "{")
    for words in (["diff"], ["apply", "-y"]):
        with pytest.raises(CorralError, match=r"environments/senseless/bundle\.json is not a pointer"):
            corral_stack(settings, *words)
    assert change_sets(settings) == []
    assert sizes(settings) == NOBODY
