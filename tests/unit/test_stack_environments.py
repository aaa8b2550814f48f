"""The environments are the same but for what their settings say: live's template is what the lab runs."""

import json
import re
from functools import cache

import pytest

from corral.settings import load
from corral.stack import render
from tests.unit.stacks import rendered

# Where the lab differs from live beside sizes, and why.
DIFFERENCES = {
    # Nobody but the lab holds its domain's zone.
    "SiteZone": "the lab makes its own",
}


@cache
def own_words(name):
    """What only one environment says."""
    settings = load(name)
    return settings.domain, settings.account, settings.network.cidr


def shape(value, name):
    """A template without its environment's name, numbers and sizes."""
    if isinstance(value, dict):
        return {key: shape(each, name) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each, name) for each in value]
    if isinstance(value, bool):
        return value
    text = str(value)
    for own in own_words(name):
        text = text.replace(own, "…")
    text = re.sub(rf"\b{name}\b", "ENV", text)
    text = re.sub(r"\b\d+\.\d+\.\d+\.\d+(/\d+)?", "ADDRESS", text)
    return re.sub(r"[a-z]\d?[a-z]*\.(micro|small|medium|large|xlarge)", "TYPE", re.sub(r"^\d+$", "N", text))


def shapes(name):
    return {title: shape(each, name) for title, each in rendered(name)["Resources"].items()}


def test_the_lab_runs_lives_template_but_for_sizes():
    live, lab = shapes("live"), shapes("lab")
    assert set(lab) - set(live) == set(DIFFERENCES)
    assert set(live) <= set(lab)
    different = {title: (live[title], lab[title]) for title in live if live[title] != lab[title]}
    assert {title: sorted(_differing(*pair)) for title, pair in different.items()} == {
        # How SSH reaches hosts: in live by the release server alone.
        "AppSecurityGroup": ["Properties.SecurityGroupIngress"],
        "DbSecurityGroup": ["Properties.SecurityGroupIngress"],
        "ElkSecurityGroup": ["Properties.SecurityGroupIngress"],
        "ReleaseSecurityGroup": ["Properties.SecurityGroupIngress"],
        "AppLaunch": ["Properties.LaunchTemplateData.KeyName"],
        "DbLaunch": ["Properties.LaunchTemplateData.KeyName"],
        "ElkLaunch": ["Properties.LaunchTemplateData.KeyName"],
        "ReleaseLaunch": ["Properties.LaunchTemplateData.KeyName"],
        # Whose zone the site's name is in.
        "SiteRecord": ["Properties.HostedZoneId"],
        "Certificate": ["Properties.DomainValidationOptions"],
        # The lab comes and goes.
        "Balancer": ["Properties.LoadBalancerAttributes"],
    }
    for section in ("Parameters", "Conditions", "Metadata"):
        assert shape(rendered("live")[section], "live") == shape(rendered("lab")[section], "lab")
    tells, labs = (shape(rendered(name)["Outputs"], name) for name in ("live", "lab"))
    assert labs.pop("NameServers")["Value"]["Fn::Join"][1] == {"Fn::GetAtt": ["SiteZone", "NameServers"]}
    assert tells == labs


def _differing(one, other, path=""):
    for key in {*one, *other}:
        here = f"{path}.{key}".lstrip(".")
        a, b = one.get(key), other.get(key)
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _differing(a, b, here)
        else:
            yield here


@pytest.mark.parametrize(("smaller", "larger"), [("test", "live"), ("branch", "test")])
def test_smaller_environments_have_every_kind_of_resource(smaller, larger):
    def kinds(name):
        return {each["Type"] for each in rendered(name)["Resources"].values()}

    assert kinds(smaller) == kinds(larger)


def test_a_branchs_environment_has_a_name_a_domain_and_data_of_its_own():
    one, other = load("branch/feature-x"), load("branch/feature-y")
    assert (one.environment, one.domain) == ("feature-x", "feature-x.branch.chat.example.com")
    assert (one.stack_name, one.pattern) == ("chat-feature-x", "branch")
    texts = [render(settings) for settings in (one, other)]
    assert texts[0] != texts[1]
    assert texts[0].replace("feature-x", "feature-y") == texts[1]
    mine = json.loads(texts[0])
    names = {
        each["Properties"].get(key)
        for each in mine["Resources"].values()
        for key in ("BucketName", "RoleName", "AutoScalingGroupName", "LaunchTemplateName", "AlarmName")
        if each.get("Properties", {}).get(key)
    }
    assert all("feature-x" in name for name in names)
