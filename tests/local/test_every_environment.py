"""Every environment of the repository is created whole by `corral stack apply`, in the lab's API."""

import json

import pytest
from botocore.exceptions import ClientError

from corral.aws import client
from corral.cloudformation import stacks
from corral.errors import CorralError
from corral.settings import load
from corral.settings.sections import Aws
from corral.stack import render
from tests.local.lab_cloud import cloud  # noqa: F401
from tests.local.stack_command import corral_stack, give_servers

ACCOUNT = "123456789012"
DONE = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


@pytest.fixture(scope="module")
def zone(cloud):
    """The Route 53 zone of example.com, which those who use the files have already."""
    made = cloud.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
    return made["HostedZone"]["Id"].rpartition("/")[2]


@pytest.fixture
def there(cloud, zone):
    """Settings of an environment as they are in its file, but for whose account, zone, key and API it is."""

    def of(reference):
        settings = load(reference)
        if settings.ssh.key_name:
            try:
                cloud.client("ec2").create_key_pair(KeyName=settings.ssh.key_name)
            except ClientError as error:
                assert error.response["Error"]["Code"] == "InvalidKeyPair.Duplicate"
        own = {
            "account": ACCOUNT,
            "hosted_zone_id": settings.hosted_zone_id and zone,
            "aws": Aws(endpoint_url=cloud.endpoint, access_key_id="lab", secret_access_key="worth-nothing"),
        }
        return settings.model_copy(update=own)

    return of


@pytest.mark.parametrize("reference", ["live", "test", "branch/feature-x", "lab"])
def test_an_environment_is_created_whole(there, zone, reference):
    settings = there(reference)
    applied = corral_stack(settings, "apply", "-y")
    assert applied.exit_code == 0
    assert stacks.find(settings).status == "CREATE_COMPLETE"
    give_servers(settings)
    stack = stacks.find(settings)
    assert stack.status == "UPDATE_COMPLETE"
    assert stack.protected == settings.termination_protection
    made = {each.logical for each in stacks.resources(settings, stack) if each.status in DONE}
    assert made == set(json.loads(render(settings))["Resources"])

    held = (
        zone
        if settings.hosted_zone_id
        else next(each.physical for each in stacks.resources(settings, stack) if each.logical == "SiteZone")
    )
    records = client(settings, "route53").list_resource_record_sets(HostedZoneId=held)["ResourceRecordSets"]
    site = [each for each in records if each["Name"].rstrip(".") == settings.domain and each["Type"] == "A"]
    assert site[0]["AliasTarget"]["DNSName"].rstrip(".") == stack.outputs["BalancerName"]
    assert "nothing to change" in corral_stack(settings, "diff").output


def test_a_zone_that_is_not_there_is_said_before_anything_is_made(there):
    settings = there("branch/lost").model_copy(update={"hosted_zone_id": "Z0123456789ABCDEFGHIJ"})
    with pytest.raises(CorralError, match="there is no hosted zone Z0123456789ABCDEFGHIJ"):
        corral_stack(settings, "apply", "-y")
    assert stacks.find(settings) is None
