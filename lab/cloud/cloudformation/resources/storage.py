"""Buckets and their policies."""
# ruff: noqa: D102 (what create, update, delete and attributes do is said once, in base.py)

import json
from typing import Any

from botocore.exceptions import ClientError

from lab.cloud.cloudformation.resources.base import Cloud, Kind, Properties, Refused, names

RULE = names(
    "AbortIncompleteMultipartUpload ExpirationInDays ExpiredObjectDeleteMarker Id NoncurrentVersionExpiration"
    " Prefix Status"
)


class Bucket(Kind):
    """A bucket, with all that a template says about it set by the calls that S3 has for it."""

    type = "AWS::S3::Bucket"
    properties = names(
        "BucketEncryption BucketName LifecycleConfiguration OwnershipControls "
        "PublicAccessBlockConfiguration Tags VersioningConfiguration"
    )
    replaced_by = names("BucketName")
    name = "BucketName"
    longest_name = 63

    def create(self, cloud: Cloud, given: Properties) -> str:
        s3, name = cloud("s3"), given["BucketName"]
        region = s3.meta.region_name
        where = {} if region == "us-east-1" else {"LocationConstraint": region}
        s3.create_bucket(Bucket=name, **({"CreateBucketConfiguration": where} if where else {}))
        self.update(cloud, name, given, {})
        return str(name)

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        s3 = cloud("s3")
        for key, put, delete, argument, value in (
            (
                "VersioningConfiguration",
                s3.put_bucket_versioning,
                None,
                "VersioningConfiguration",
                lambda said: said,
            ),
            (
                "BucketEncryption",
                s3.put_bucket_encryption,
                s3.delete_bucket_encryption,
                "ServerSideEncryptionConfiguration",
                _encryption,
            ),
            (
                "LifecycleConfiguration",
                s3.put_bucket_lifecycle_configuration,
                s3.delete_bucket_lifecycle,
                "LifecycleConfiguration",
                _lifecycle,
            ),
            (
                "OwnershipControls",
                s3.put_bucket_ownership_controls,
                s3.delete_bucket_ownership_controls,
                "OwnershipControls",
                lambda said: said,
            ),
            (
                "PublicAccessBlockConfiguration",
                s3.put_public_access_block,
                s3.delete_public_access_block,
                "PublicAccessBlockConfiguration",
                lambda said: said,
            ),
            (
                "Tags",
                s3.put_bucket_tagging,
                s3.delete_bucket_tagging,
                "Tagging",
                lambda said: {"TagSet": said},
            ),
        ):
            if given.get(key) == before.get(key):
                continue
            if key in given:
                put(Bucket=physical, **{argument: value(given[key])})
            elif delete:
                delete(Bucket=physical)
            else:
                s3.put_bucket_versioning(Bucket=physical, VersioningConfiguration={"Status": "Suspended"})

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("s3").delete_bucket(Bucket=physical)

    def exists(self, cloud: Cloud, name: str) -> bool:
        return name in {bucket["Name"] for bucket in cloud("s3").list_buckets()["Buckets"]}

    def adopt(self, cloud: Cloud, given: Properties) -> str:
        # CloudFormation runs the update of what it imported: a property that is not given goes back to none.
        whatever = dict.fromkeys(self.properties - set(given), "whatever there is")
        self.update(cloud, given["BucketName"], given, whatever)
        return str(given["BucketName"])

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        return {
            "Arn": f"arn:aws:s3:::{physical}",
            "DomainName": f"{physical}.s3.amazonaws.com",
            "RegionalDomainName": f"{physical}.s3.{cloud('s3').meta.region_name}.amazonaws.com",
        }


class BucketPolicy(Kind):
    """A bucket's policy."""

    type = "AWS::S3::BucketPolicy"
    properties = names("Bucket PolicyDocument")
    replaced_by = names("Bucket")
    name = "Bucket"

    def create(self, cloud: Cloud, given: Properties) -> str:
        if self.exists(cloud, given["Bucket"]):
            raise Refused(f"The bucket policy already exists on bucket {given['Bucket']}.")
        return self.adopt(cloud, given)

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        self.adopt(cloud, given)

    def exists(self, cloud: Cloud, name: str) -> bool:
        try:
            cloud("s3").get_bucket_policy(Bucket=name)
        except ClientError:
            return False
        return True

    def adopt(self, cloud: Cloud, given: Properties) -> str:
        cloud("s3").put_bucket_policy(Bucket=given["Bucket"], Policy=json.dumps(given["PolicyDocument"]))
        return str(given["Bucket"])

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("s3").delete_bucket_policy(Bucket=physical)


def _encryption(said: Properties) -> dict[str, Any]:
    rules = [
        {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
        for rule in said["ServerSideEncryptionConfiguration"]
    ]
    return {"Rules": rules}


def _lifecycle(said: Properties) -> dict[str, Any]:
    return {"Rules": [_rule(rule) for rule in said["Rules"]]}


def _rule(said: Properties) -> dict[str, Any]:
    """A lifecycle rule, in the words of S3's API."""
    if unknown := sorted(set(said) - RULE):
        raise Refused(f"The lab's buckets know nothing of {', '.join(unknown)} in a lifecycle rule.")
    rule: dict[str, Any] = {"Status": said["Status"], "Filter": {"Prefix": said.get("Prefix", "")}}
    if "Id" in said:
        rule["ID"] = said["Id"]
    if "ExpirationInDays" in said:
        rule["Expiration"] = {"Days": said["ExpirationInDays"]}
    if "ExpiredObjectDeleteMarker" in said:
        rule["Expiration"] = {"ExpiredObjectDeleteMarker": said["ExpiredObjectDeleteMarker"]}
    for key in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if key in said:
            rule[key] = said[key]
    return rule
