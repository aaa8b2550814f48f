"""Launches a member of an auto-scaling group exactly as the group's version of its launch template says."""

from typing import Any

from moto.autoscaling.models import ASG_NAME_TAG, FakeAutoScalingGroup, InstanceState
from moto.ec2.utils import convert_tag_spec

from lab.cloud import activities


def launch(group: FakeAutoScalingGroup, subnet_id: str | None) -> InstanceState | None:
    """Launch one instance in the subnet and make it a member that is pending; None where moto does it all.

    moto's own way takes the security groups of the default version, and forgets profile and metadata options.
    """
    template = group.ec2_launch_template
    if template is None:
        group.replace_autoscaling_group_instances(1, group.get_propagated_tags())
        return None
    version = template.get_version(group.launch_template_version)
    data: dict[str, Any] = version.data
    tags = convert_tag_spec(data.get("TagSpecifications", []))
    own = group.get_propagated_tags() | {ASG_NAME_TAG: group.name}
    subnet = group.ec2_backend.get_subnet(subnet_id) if subnet_id else None
    reservation = group.ec2_backend.run_instances(
        data.get("ImageId", ""),
        1,
        data.get("UserData"),
        data.get("SecurityGroups", []),
        instance_type=data.get("InstanceType", "t3.micro"),
        is_instance_type_default=False,
        security_group_ids=list(data.get("SecurityGroupIds", [])),
        key_name=data.get("KeyName"),
        metadata_options=data.get("MetadataOptions", {}),
        block_device_mappings=data.get("BlockDeviceMappings", []),
        launch_template={"LaunchTemplateId": template.id, "Version": str(version.number)},
        subnet_id=subnet_id,
        placement=subnet.availability_zone if subnet else None,
        region_name=group.region,
        associate_public_ip=None,
        tags={"instance": tags.get("instance", {}) | own, "volume": tags.get("volume", {})},
    )
    instance = reservation.instances[0]
    profile = data.get("IamInstanceProfile") or {}
    if profile:
        group.ec2_backend.associate_iam_instance_profile(instance.id, profile.get("Name"), profile.get("Arn"))
    instance.autoscaling_group = group  # type: ignore[attr-defined]
    member = InstanceState(
        instance, "Pending", protected_from_scale_in=group.new_instances_protected_from_scale_in
    )
    member.launched_by = {  # type: ignore[attr-defined]
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "Version": str(version.number),
    }
    member.activity = activities.launching(group, instance.id)  # type: ignore[attr-defined]
    group.instance_states.append(member)
    return member
