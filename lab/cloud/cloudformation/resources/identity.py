"""Roles and instance profiles."""
# ruff: noqa: D102 (what create, update, delete and attributes do is said once, in base.py)

import json
from typing import Any

from botocore.exceptions import ClientError

from lab.cloud.cloudformation.resources.base import (
    Cloud,
    Kind,
    Properties,
    Refused,
    changed,
    names,
    pick,
    tag_differences,
)

ROLE = "Description MaxSessionDuration"


class Role(Kind):
    """A role with its policies."""

    type = "AWS::IAM::Role"
    properties = names(
        f"{ROLE} AssumeRolePolicyDocument ManagedPolicyArns Path PermissionsBoundary Policies RoleName Tags"
    )
    replaced_by = names("Path RoleName")
    name = "RoleName"
    longest_name = 64

    def create(self, cloud: Cloud, given: Properties) -> str:
        self._check_boundary(cloud, given)
        cloud("iam").create_role(
            AssumeRolePolicyDocument=json.dumps(given["AssumeRolePolicyDocument"]),
            **pick(given, f"{ROLE} Path PermissionsBoundary RoleName Tags"),
        )
        self._policies(cloud, given["RoleName"], given, {})
        return str(given["RoleName"])

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        iam = cloud("iam")
        if changed(given, before, ROLE):
            iam.update_role(RoleName=physical, **pick(given, ROLE))
        if changed(given, before, "AssumeRolePolicyDocument"):
            document = json.dumps(given["AssumeRolePolicyDocument"])
            iam.update_assume_role_policy(RoleName=physical, PolicyDocument=document)
        if changed(given, before, "PermissionsBoundary"):
            self._check_boundary(cloud, given)
            if boundary := given.get("PermissionsBoundary"):
                iam.put_role_permissions_boundary(RoleName=physical, PermissionsBoundary=boundary)
            else:
                iam.delete_role_permissions_boundary(RoleName=physical)
        self._policies(cloud, physical, given, before)
        put, take = tag_differences(given, before)
        if take:
            iam.untag_role(RoleName=physical, TagKeys=take)
        if put:
            iam.tag_role(RoleName=physical, Tags=put)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        self._policies(cloud, physical, {}, given)
        cloud("iam").delete_role(RoleName=physical)

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        role: dict[str, Any] = cloud("iam").get_role(RoleName=physical)["Role"]
        return {"Arn": role["Arn"], "RoleId": role["RoleId"]}

    def _check_boundary(self, cloud: Cloud, given: Properties) -> None:
        """IAM takes no boundary that is not there; moto does."""
        if boundary := given.get("PermissionsBoundary"):
            try:
                cloud("iam").get_policy(PolicyArn=boundary)
            except ClientError as error:
                raise Refused(f"Scope ARN: {boundary} does not exist or is not attachable.") from error

    def _policies(self, cloud: Cloud, role: str, given: Properties, before: Properties) -> None:
        iam = cloud("iam")
        new = {each["PolicyName"]: each["PolicyDocument"] for each in given.get("Policies", [])}
        old = {each["PolicyName"]: each["PolicyDocument"] for each in before.get("Policies", [])}
        for name in old.keys() - new.keys():
            iam.delete_role_policy(RoleName=role, PolicyName=name)
        for name, document in new.items():
            if old.get(name) != document:
                iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))
        wanted, had = set(given.get("ManagedPolicyArns", [])), set(before.get("ManagedPolicyArns", []))
        for arn in sorted(had - wanted):
            iam.detach_role_policy(RoleName=role, PolicyArn=arn)
        for arn in sorted(wanted - had):
            iam.attach_role_policy(RoleName=role, PolicyArn=arn)


class InstanceProfile(Kind):
    """What an instance wears to have a role."""

    type = "AWS::IAM::InstanceProfile"
    properties = names("InstanceProfileName Path Roles")
    replaced_by = names("InstanceProfileName Path")
    name = "InstanceProfileName"
    longest_name = 128

    def create(self, cloud: Cloud, given: Properties) -> str:
        cloud("iam").create_instance_profile(**pick(given, "InstanceProfileName Path"))
        self.update(cloud, given["InstanceProfileName"], given, {})
        return str(given["InstanceProfileName"])

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        new, old = set(given.get("Roles", [])), set(before.get("Roles", []))
        for role in sorted(old - new):
            cloud("iam").remove_role_from_instance_profile(InstanceProfileName=physical, RoleName=role)
        for role in sorted(new - old):
            cloud("iam").add_role_to_instance_profile(InstanceProfileName=physical, RoleName=role)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        self.update(cloud, physical, {}, given)
        cloud("iam").delete_instance_profile(InstanceProfileName=physical)

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        profile = cloud("iam").get_instance_profile(InstanceProfileName=physical)["InstanceProfile"]
        return {"Arn": profile["Arn"]}
