"""What an environment needs of its account, looked at before anything is touched."""

import pytest
from botocore.exceptions import ClientError

from corral import preflight
from corral.aws import client
from corral.errors import CorralError
from corral.settings.sections import Image, Ssh


def problems(settings, new_image=False):
    """Lines of what is found, without the first, which counts them."""
    with pytest.raises(CorralError) as caught:
        preflight.check(settings, new_image)
    first, *lines = caught.value.problem.splitlines()
    assert first.startswith("1 thing is" if len(lines) == 1 else f"{len(lines)} things are")
    assert caught.value.remedy.startswith("Nothing was changed. Mend environments/test.toml or the account")
    return [line.strip() for line in lines]


def but(settings, section=None, **more):
    """The settings with other values, of a table of theirs or of their own."""
    if section:
        more = {section: getattr(settings, section).model_copy(update=more)}
    return settings.model_copy(update=more)


def test_an_account_that_has_everything_is_fine(settings):
    preflight.check(settings)
    preflight.check(settings, new_image=True)


def test_a_zone_that_does_not_exist(settings):
    there = but(settings, zones=("eu-west-1a", "eu-west-1x"))
    assert problems(there) == [
        "zones: there is no zone eu-west-1x. Choose among eu-west-1a, eu-west-1b, eu-west-1c."
    ]


def test_an_instance_type_that_is_unknown(settings):
    there = but(settings, "db", instance_type="t3.gigantic")
    assert problems(there) == [
        "db.instance_type: t3.gigantic is not known in eu-west-1. Choose another type."
    ]


def test_an_instance_type_that_a_wanted_zone_does_not_offer(settings, monkeypatch):
    """moto offers every type in all of this region's zones; a zone that it does not know offers none."""
    monkeypatch.setattr(preflight, "_known_zones", lambda settings: {"eu-west-1a", "eu-west-1z"})
    there = but(settings, zones=("eu-west-1a", "eu-west-1z"))
    assert problems(there) == [
        "app.instance_type: t3.small is not offered in eu-west-1z. Choose another type, or zones among"
        " eu-west-1a, eu-west-1b, eu-west-1c."
    ], "the other roles live in the first zone"


def test_an_image_parameter_that_does_not_exist(settings):
    there = but(settings, image=Image(parameter="/no/such"))
    assert problems(there) == [
        "image.parameter: there is no parameter /no/such in eu-west-1. Name one that `aws ssm get-parameter`"
        " finds, such as Debian's in docs/settings.md."
    ]


def test_an_image_that_is_gone(settings):
    ssm = client(settings, "ssm")
    ssm.put_parameter(Name="/images/gone", Value="ami-00000000", Type="String")
    gone = but(settings, image=Image(parameter="/images/gone"))
    assert problems(gone) == [
        "/images/gone names the image ami-00000000, which is not there any more. Name another one:"
        " image.parameter."
    ]
    ssm.put_parameter(Name="/corral/test/image", Value="ami-00000000", Type="String")
    assert problems(settings) == [
        "/corral/test/image names the image ami-00000000, which is not there any more. Take the newest one:"
        " --new-image."
    ]
    preflight.check(settings, new_image=True)


def test_a_key_pair_that_does_not_exist(settings):
    there = but(settings, ssh=Ssh(key_name="nobodys"))
    assert problems(there) == [
        "ssh.key_name: there is no key pair nobodys. Import it (aws ec2 import-key-pair), or name none."
    ]
    preflight.check(but(settings, ssh=Ssh()))


def test_a_hosted_zone_that_does_not_exist_or_is_not_the_one(settings):
    missing = but(settings, hosted_zone_id="Z0123456789ABCDEFGHIJ")
    assert problems(missing) == [
        "hosted_zone_id: there is no hosted zone Z0123456789ABCDEFGHIJ. See `aws route53 list-hosted-zones`;"
        " or make one, and let the registrar (or the zone above) point to it, before the stack is applied."
    ]

    def zone(name, **more):
        made = client(settings, "route53").create_hosted_zone(Name=name, CallerReference=name, **more)
        return made["HostedZone"]["Id"].rpartition("/")[2]

    preflight.check(but(settings, hosted_zone_id=zone("example.com")))
    preflight.check(but(settings, hosted_zone_id=zone("test.chat.example.com")))
    anothers = zone("ample.com")
    assert problems(but(settings, hosted_zone_id=anothers)) == [
        f"hosted_zone_id: {anothers} is the zone of ample.com, which test.chat.example.com is not in."
    ]
    vpc = client(settings, "ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    private = {"HostedZoneConfig": {"PrivateZone": True, "Comment": ""}}
    inner = zone("chat.example.com", VPC={"VPCRegion": "eu-west-1", "VPCId": vpc}, **private)
    assert problems(but(settings, hosted_zone_id=inner)) == [
        f"hosted_zone_id: {inner} is a private zone, which users cannot see. Name the public one."
    ]


def test_a_certificate_that_does_not_exist(settings):
    arn = "arn:aws:acm:eu-west-1:123456789012:certificate/none"
    assert problems(but(settings, certificate_arn=arn)) == [
        f"certificate_arn: there is no certificate {arn}. See `aws acm list-certificates`."
    ]


def test_a_volume_of_data_that_does_not_exist_or_is_elsewhere(settings):
    there = but(settings, "db", data_volume="vol-0123456789abcdef0")
    assert problems(there) == [
        "db.data_volume: there is no volume vol-0123456789abcdef0. See `aws ec2 describe-volumes`."
    ]
    made = client(settings, "ec2").create_volume(AvailabilityZone="eu-west-1b", Size=1)["VolumeId"]
    assert problems(but(settings, "db", data_volume=made)) == [
        f'db.data_volume: {made} is in eu-west-1b. Say so: db.zone = "eu-west-1b".'
    ]
    preflight.check(but(settings, "db", data_volume=made, zone="eu-west-1b"))


def test_everything_is_said_at_once(settings):
    there = but(
        settings,
        zones=("eu-west-1a", "eu-west-1x"),
        ssh=Ssh(key_name="nobodys"),
        image=Image(parameter="/no/such"),
    )
    assert [line.partition(":")[0] for line in problems(there)] == [
        "zones",
        "ssh.key_name",
        "image.parameter",
    ]


def test_what_nobody_may_look_at_is_one_line_more(settings, monkeypatch):
    denied = {"Error": {"Code": "UnauthorizedOperation", "Message": "You are not authorized."}}

    def refuse(settings):
        raise ClientError(denied, "DescribeKeyPairs")
        yield

    monkeypatch.setattr(preflight, "CHECKS", [preflight._zones, refuse])
    there = but(settings, zones=("eu-west-1a", "eu-west-1x"))
    assert problems(there)[1] == (
        "No permission for DescribeKeyPairs: You are not authorized. Ask the account's administrator for this"
        " action, or choose another profile (AWS_PROFILE)."
    )


def test_of_a_branch_the_file_to_mend_is_its_pattern(settings):
    there = but(settings, pattern="branch", environment="feature-x", zones=("eu-west-1a", "eu-west-1x"))
    with pytest.raises(CorralError) as caught:
        preflight.check(there)
    assert "for branch/feature-x (" in caught.value.problem
    assert "Mend environments/branch.toml" in caught.value.remedy
