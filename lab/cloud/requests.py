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
    return ["*"]


def context(service: str, action: str, response: Any) -> dict[str, list[str]]:
    """The request's condition keys, in small letters."""
    secure = response.headers.get("X-Forwarded-Proto") == "https"
    found = {"aws:securetransport": [str(secure).lower()], "aws:requestedregion": [response.region]}
    if service == "route53" and action == "ChangeResourceRecordSets":
        found |= _record_changes(response.body)
    if service == "autoscaling" and "AutoScalingGroupName" in response.querystring:
        found |= _group_tags(response)
    if service == "s3":
        for key in ("prefix", "delimiter"):
            if key in response.querystring:
                found[f"s3:{key}"] = list(response.querystring[key])
    return found


def _group_tags(response: Any) -> dict[str, list[str]]:
    """Service Authorization Reference, "Amazon EC2 Auto Scaling": a group's tags go by two names."""
    group = response.autoscaling_backend.autoscaling_groups.get(
        response.querystring["AutoScalingGroupName"][0]
    )
    return {
        f"{prefix}:resourcetag/{tag['Key'].lower()}": [tag["Value"]]
        for tag in (group.tags if group else [])
        for prefix in ("aws", "autoscaling")
    }


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
