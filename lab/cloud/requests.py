"""What a request asks for, in the words of IAM: resources and condition keys of what hosts do."""

import json
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree


def resources(service: str, action: str, response: Any) -> list[str]:
    """ARNs of what the request is about; "*" where IAM has no finer grain, or where no host calls.

    `response`: moto's object that answers the request. (Service Authorization Reference, "Resource types".)
    """
    account, region = response.current_account, response.region
    if service == "ssm" and action in {
        "GetParameter",
        "GetParameters",
        "GetParametersByPath",
        "PutParameter",
    }:
        said = json.loads(response.body)
        names = [said[key] for key in ("Name", "Path") if key in said] or said.get("Names", [])
        where = f"arn:aws:ssm:{region}:{account}:parameter"
        return [f"{where}/{name.lstrip('/')}" for name in names]
    if service == "route53" and "/hostedzone/" in response.path:
        zone = response.path.partition("/hostedzone/")[2].split("/")[0]
        return [f"arn:aws:route53:::hostedzone/{zone}"]
    if service == "autoscaling" and "AutoScalingGroupName" in response.querystring:
        name = response.querystring["AutoScalingGroupName"][0]
        group = response.autoscaling_backend.autoscaling_groups.get(name)
        unknown = f"arn:aws:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/{name}"
        return [group.arn if group else unknown]
    if service == "cloudformation" and (name := response.querystring.get("StackName", [""])[0]):
        return [name if ":" in name else f"arn:aws:cloudformation:{region}:{account}:stack/{name}/*"]
    if service == "ec2" and action in {"AttachVolume", "DetachVolume"}:
        # Both must be allowed.
        return [f"arn:aws:ec2:{region}:{account}:{each}" for each in _volume_and_instance(response)]
    return ["*"]


def context(service: str, action: str, response: Any) -> dict[str, list[str]]:
    """The request's condition keys, in small letters."""
    secure = response.headers.get("X-Forwarded-Proto") == "https"
    found = {"aws:securetransport": [str(secure).lower()], "aws:requestedregion": [response.region]}
    if service == "route53" and action == "ChangeResourceRecordSets":
        found |= _record_changes(response.body)
    if service == "s3":
        for key in ("prefix", "delimiter"):
            if key in response.querystring:
                found[f"s3:{key}"] = list(response.querystring[key])
        if action == "PutObject":
            found |= _conditions_of_a_write(response)
    return found


def resource_context(service: str, resource: str, response: Any) -> dict[str, list[str]]:
    """Condition keys that are each resource's own, in small letters: its tags.

    (IAM, "Controlling access to AWS resources using tags"; services know older names for them, too.)
    """
    name, tags = resource.rpartition("/")[2], {}
    if service == "ec2":
        tags = response.ec2_backend.tags.get(name, {})
    elif service == "autoscaling" and name in response.autoscaling_backend.autoscaling_groups:
        group = response.autoscaling_backend.autoscaling_groups[name]
        tags = {tag["Key"]: tag["Value"] for tag in group.tags}
    return {
        f"{prefix}:resourcetag/{key.lower()}": [value]
        for key, value in tags.items()
        for prefix in ("aws", service)
    }


def _conditions_of_a_write(response: Any) -> dict[str, list[str]]:
    """On what an object is written; and whether it is: beginning an upload in parts, or a part, is no object.

    (S3 User Guide, "Enforce conditional writes on Amazon S3 buckets".)
    """
    said = {"s3:if-none-match": "If-None-Match", "s3:if-match": "If-Match"}
    found = {key: [response.headers[name]] for key, name in said.items() if response.headers.get(name)}
    asked = response.querystring
    whole = not ("uploads" in asked or ("uploadId" in asked and "partNumber" in asked))
    return found | {"s3:objectcreationoperation": [str(whole).lower()]}


def _volume_and_instance(response: Any) -> list[str]:
    """Who detaches a volume need not say from which instance."""
    asked = response.querystring
    volume, instance = asked["VolumeId"][0], asked.get("InstanceId", [""])[0]
    known = response.ec2_backend.volumes.get(volume)
    if not instance and known and known.attachment:
        instance = known.attachment.instance.id
    return [f"volume/{volume}", *([f"instance/{instance}"] if instance else [])]


def _record_changes(body: str) -> dict[str, list[str]]:
    """Route 53, "Using IAM policy conditions for fine-grained access control": small, without last dot."""
    changes = list(_every(ElementTree.fromstring(body), "Change"))
    prefix = "route53:changeresourcerecordsets"
    return {
        f"{prefix}normalizedrecordnames": [
            next(_texts(change, "Name")).lower().rstrip(".").replace("\\052", "*") for change in changes
        ],
        f"{prefix}recordtypes": [next(_texts(change, "Type")) for change in changes],
        f"{prefix}actions": [next(_texts(change, "Action")) for change in changes],
    }


def _every(root: ElementTree.Element, tag: str) -> Iterable[ElementTree.Element]:
    """Elements by their name, whatever the namespace."""
    return (element for element in root.iter() if element.tag.rpartition("}")[2] == tag)


def _texts(root: ElementTree.Element, tag: str) -> Any:
    return ((element.text or "").strip() for element in _every(root, tag))
