"""Emptying what AWS deletes only when it is empty; and the parameters of an environment that is gone."""

from functools import partial

import pytest

from corral import images, parameters, preflight, secrets
from corral.aws import client
from corral.cloudformation import emptying
from corral.errors import CorralError
from corral.settings.sections import Image


def record(name, value="10.0.0.1", kind="A"):
    return {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]}


def test_a_zone_keeps_its_own_records_and_those_of_the_stack(settings):
    cloud = client(settings, "route53")
    made = cloud.create_hosted_zone(Name="test.internal", CallerReference="1")["HostedZone"]
    zone = made["Id"].rpartition("/")[2]
    written = [
        record("db.test.internal"),
        record("ELK.test.internal"),
        record("test.internal"),
        record("below.test.internal", "ns.example.com", "NS"),
        record("site.test.internal"),
    ]
    changes = [{"Action": "UPSERT", "ResourceRecordSet": each} for each in written]
    cloud.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    told = []
    emptying.zones(settings, [zone], ["Site.test.internal."], told.append)
    left = cloud.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    assert sorted((each["Name"], each["Type"]) for each in left) == [
        ("site.test.internal.", "A"),
        ("test.internal.", "NS"),
        ("test.internal.", "SOA"),
    ]
    [sentence] = told
    assert sentence.startswith(f"Deleted from hosted zone {zone}: ")
    for name in ("db.test.internal", "elk.test.internal", "below.test.internal"):
        assert name in sentence
    emptying.zones(settings, [zone, "ZGONE"], [], lambda sentence: None)
    told.clear()
    emptying.zones(settings, [zone], [], told.append)
    assert told == [], "there is nothing to tell of an empty zone"


def test_a_bucket_loses_all_versions_and_marks_of_deletions(settings, monkeypatch):
    monkeypatch.setattr(emptying, "OBJECTS", 3)
    s3 = client(settings, "s3")
    s3.create_bucket(Bucket="full", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket="full", VersioningConfiguration={"Status": "Enabled"})
    for number in range(4):
        for _ in range(2):
            s3.put_object(Bucket="full", Key=f"key {number}", Body=b"x")
    s3.delete_object(Bucket="full", Key="key 0")
    told = []
    assert emptying.buckets(settings, ["full", "gone"], told.append) == 9
    assert told[-1] == "Emptying full: 9 objects and versions deleted"
    assert len(told) >= 3
    s3.delete_bucket(Bucket="full")


def test_an_object_that_s3_does_not_delete_is_named(settings, monkeypatch):
    class Refusing:
        """S3 that holds one object under legal hold."""

        def list_object_versions(self, **_):
            return {"Versions": [{"Key": "evidence", "VersionId": "1"}]}

        def delete_objects(self, **_):
            return {"Errors": [{"Key": "evidence", "Message": "Access Denied"}]}

    monkeypatch.setattr(emptying, "client", lambda settings, service: Refusing())
    with pytest.raises(CorralError, match="S3 does not delete 1 objects of full: evidence: Access Denied"):
        emptying.buckets(settings, ["full"], lambda sentence: None)


def test_only_parameters_of_the_environments_own_are_forgotten(settings):
    ssm = client(settings, "ssm")
    other = settings.model_copy(update={"project": "shop"})
    names = [f"/corral/test/app/{number:02}" for number in range(12)]
    elsewhere = ["/corral/test", "/corral/test-2/app/x", "/corral/other/x"]
    for name in [*names, *elsewhere]:
        ssm.put_parameter(Name=name, Value="v", Type="SecureString", Tags=parameters.tags(settings))
    secrets.make_once(other, "app", "theirs")
    ssm.put_parameter(Name="/corral/test/app/nobodys", Value="v", Type="SecureString")
    assert secrets.names(settings) == names
    assert secrets.forget_all(settings) == names
    left = {each["Name"] for each in ssm.describe_parameters()["Parameters"]}
    assert {*elsewhere, "/corral/test/app/theirs", "/corral/test/app/nobodys"} <= left
    assert secrets.forget_all(settings) == []
    assert secrets.names(other) == ["/corral/test/app/theirs"]


# Of two projects with an environment of the same name


def test_another_projects_secret_is_not_taken_for_the_environments_own(settings):
    other = settings.model_copy(update={"project": "shop"})
    assert secrets.make_once(other, "app", "one")
    with pytest.raises(CorralError) as caught:
        secrets.make_once(settings, "app", "one")
    assert caught.value.problem == (
        "/corral/test/app/one belongs to project shop: an account holds one environment test only, whatever"
        " its project."
    )
    assert "delete its parameters under /corral/test/." in caught.value.remedy
    assert not secrets.make_once(other, "app", "one"), "to its own project it is what it was"


def test_a_secret_that_somebody_made_by_hand_becomes_the_environments_own(settings):
    ssm = client(settings, "ssm")
    ssm.put_parameter(Name="/corral/test/app/one", Value="chosen", Type="SecureString")
    assert secrets.names(settings) == []
    assert not secrets.make_once(settings, "app", "one")
    assert secrets.names(settings) == ["/corral/test/app/one"]
    kept = ssm.get_parameter(Name="/corral/test/app/one", WithDecryption=True)["Parameter"]
    assert (kept["Value"], kept["Version"]) == ("chosen", 1)


def test_another_projects_image_is_neither_read_nor_renewed(settings, newest):
    other = settings.model_copy(update={"project": "shop"})
    images.pin(other, renew=False)
    another(settings)
    for ask in (images.pinned, partial(images.pin, renew=True), preflight.check):
        with pytest.raises(CorralError, match="/corral/test/image belongs to project shop"):
            ask(settings)
    assert images.pinned(other) == newest


# The machine image


@pytest.fixture
def newest(settings):
    """The image that image.parameter names."""
    return images.latest(settings)


def another(settings):
    """Let image.parameter name another image."""
    client(settings, "ssm").put_parameter(
        Name="/images/debian", Value="ami-00000002", Type="String", Overwrite=True
    )
    return "ami-00000002"


def test_an_image_is_pinned_once_and_renewed_when_asked(settings, newest):
    ssm = client(settings, "ssm")
    assert images.pinned(settings) is None
    assert images.pin(settings, renew=False) == images.Pin(newest, None)
    assert images.pinned(settings) == newest
    tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/corral/test/image")["TagList"]
    assert tags == parameters.tags(settings)

    newer = another(settings)
    assert not images.pin(settings, renew=False).moved
    second = images.pin(settings, renew=True)
    assert second == images.Pin(newer, newest)
    assert second.moved
    assert not images.pin(settings, renew=True).moved


def test_what_was_pinned_for_nothing_is_put_back(settings, newest):
    images.unpin(settings, images.pin(settings, renew=False))
    assert images.pinned(settings) is None
    images.pin(settings, renew=False)
    another(settings)
    images.unpin(settings, images.pin(settings, renew=True))
    assert images.pinned(settings) == newest
    images.unpin(settings, images.pin(settings, renew=False))
    assert images.pinned(settings) == newest


def test_no_image_to_pin_is_a_sentence(settings):
    there = settings.model_copy(update={"image": Image(parameter="/no/such")})
    with pytest.raises(CorralError, match="there is no parameter /no/such in eu-west-1"):
        images.pin(there, renew=False)
