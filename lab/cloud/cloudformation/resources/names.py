"""Hosted zones, records, and the certificate that proves itself in a zone."""
# ruff: noqa: D102 (what create, update, delete and attributes do is said once, in base.py)

import secrets
from typing import Any

from lab.cloud.cloudformation.resources.base import (
    Cloud,
    Kind,
    Properties,
    Refused,
    names,
    pick,
    tag_differences,
)

RECORD = "AliasTarget Name ResourceRecords TTL Type"


class HostedZone(Kind):
    """A zone; private when it names VPCs."""

    type = "AWS::Route53::HostedZone"
    properties = names("HostedZoneTags Name VPCs")
    replaced_by = names("Name")

    def create(self, cloud: Cloud, given: Properties) -> str:
        vpcs = given.get("VPCs", [])
        private: dict[str, Any] = {}
        if vpcs:
            private = {"VPC": vpcs[0], "HostedZoneConfig": {"PrivateZone": True}}
        made = cloud("route53").create_hosted_zone(
            Name=given["Name"], CallerReference=secrets.token_hex(8), **private
        )
        zone: str = made["HostedZone"]["Id"].rpartition("/")[2]
        self.update(cloud, zone, given, {"VPCs": vpcs[:1]})
        return zone

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        zones = cloud("route53")
        new, old = given.get("VPCs", []), before.get("VPCs", [])
        if bool(new) != bool(old):
            raise Refused("A zone is private or public from its making on; give it another name.")
        for vpc in new:
            if vpc not in old:
                zones.associate_vpc_with_hosted_zone(HostedZoneId=physical, VPC=vpc)
        for vpc in old:
            if vpc not in new:
                zones.disassociate_vpc_from_hosted_zone(HostedZoneId=physical, VPC=vpc)
        put, take = tag_differences(given, before, "HostedZoneTags")
        changes = {"AddTags": put, "RemoveTagKeys": take}
        if put or take:
            zones.change_tags_for_resource(
                ResourceType="hostedzone",
                ResourceId=physical,
                **{key: value for key, value in changes.items() if value},
            )

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("route53").delete_hosted_zone(Id=physical)

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, Any]:
        # Of a private zone there are none.
        delegation = cloud("route53").get_hosted_zone(Id=physical).get("DelegationSet", {})
        return {"Id": physical, "NameServers": delegation.get("NameServers", [])}


class RecordSet(Kind):
    """A record."""

    type = "AWS::Route53::RecordSet"
    properties = names(f"{RECORD} HostedZoneId")
    replaced_by = names("HostedZoneId Name Type")

    def create(self, cloud: Cloud, given: Properties) -> str:
        change_record(cloud, given["HostedZoneId"], "CREATE", _record(given))
        return str(given["Name"])

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        change_record(cloud, given["HostedZoneId"], "UPSERT", _record(given))

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        change_record(cloud, given["HostedZoneId"], "DELETE", _record(given))


class Certificate(Kind):
    """A certificate. With DNS validation its proof is put into the zone, as CloudFormation does."""

    type = "AWS::CertificateManager::Certificate"
    properties = names("DomainName DomainValidationOptions SubjectAlternativeNames Tags ValidationMethod")
    replaced_by = names("DomainName DomainValidationOptions SubjectAlternativeNames ValidationMethod")

    def create(self, cloud: Cloud, given: Properties) -> str:
        words = pick(given, "DomainName SubjectAlternativeNames Tags ValidationMethod")
        arn: str = cloud("acm").request_certificate(**words)["CertificateArn"]
        for zone, record in self._proofs(cloud, arn, given):
            change_record(cloud, zone, "UPSERT", record)
        return arn

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        put, take = tag_differences(given, before)
        if take:
            tags = [{"Key": key} for key in take]
            cloud("acm").remove_tags_from_certificate(CertificateArn=physical, Tags=tags)
        if put:
            cloud("acm").add_tags_to_certificate(CertificateArn=physical, Tags=put)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        for zone, record in self._proofs(cloud, physical, given):
            change_record(cloud, zone, "DELETE", record)
        cloud("acm").delete_certificate(CertificateArn=physical)

    def _proofs(self, cloud: Cloud, arn: str, given: Properties) -> list[tuple[str, dict[str, Any]]]:
        """Zone and record of each name that has a zone; moto gives all names the same record."""
        zones = {
            each["DomainName"]: each["HostedZoneId"]
            for each in given.get("DomainValidationOptions", [])
            if "HostedZoneId" in each
        }
        found = cloud("acm").describe_certificate(CertificateArn=arn)["Certificate"]
        proofs = {}
        for option in found.get("DomainValidationOptions", []):
            proof, zone = option.get("ResourceRecord"), zones.get(option["DomainName"])
            if proof and zone:
                record = {"Name": proof["Name"], "Type": proof["Type"], "TTL": 300}
                proofs[zone, proof["Name"]] = record | {"ResourceRecords": [{"Value": proof["Value"]}]}
        return [(zone, record) for (zone, _), record in proofs.items()]


def change_record(cloud: Cloud, zone: str, action: str, record: dict[str, Any]) -> None:
    """CREATE, UPSERT or DELETE a record of a zone."""
    batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    cloud("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)


def _record(given: Properties) -> dict[str, Any]:
    record = pick(given, RECORD)
    if "ResourceRecords" in record:
        record["ResourceRecords"] = [{"Value": value} for value in record["ResourceRecords"]]
    if "AliasTarget" in record:
        record["AliasTarget"] = {"EvaluateTargetHealth": False, **record["AliasTarget"]}
    return record
