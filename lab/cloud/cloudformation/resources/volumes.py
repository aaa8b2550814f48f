"""Volumes."""
# ruff: noqa: D102 (what create, update, delete and attributes do is said once, in base.py)

from lab.cloud.cloudformation.resources.base import Cloud, Kind, Properties, names, pick
from lab.cloud.cloudformation.resources.network import Ec2Kind, tag

VOLUME = "AvailabilityZone Encrypted Iops Size Throughput VolumeType"
MODIFIED = "Iops Size Throughput VolumeType"


class Volume(Ec2Kind):
    """A volume. It is never replaced: what can't change where it stands fails the update.

    (CloudFormation's reference: "Updates are not supported" of zone and encryption.)
    """

    type = "AWS::EC2::Volume"
    properties = names(f"{VOLUME} Tags")

    def create(self, cloud: Cloud, given: Properties) -> str:
        ec2 = cloud("ec2")
        volume = ec2.create_volume(**pick(given, VOLUME))["VolumeId"]
        patience = {"Delay": 0.2, "MaxAttempts": 50}
        ec2.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig=patience)
        return tag(cloud, volume, given)

    def change(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        different = {key for key in names(VOLUME) if given.get(key) != before.get(key)}
        if different - names(MODIFIED):
            Kind.update(self, cloud, physical, given, before)
        cloud("ec2").modify_volume(VolumeId=physical, **pick(given, " ".join(sorted(different))))

    def restore(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        """What has grown stays so: CloudFormation makes no volume smaller, not on its way back either."""
        as_it_is = pick(before, "AvailabilityZone Encrypted Size")
        self.update(cloud, physical, {**pick(given, "Iops Tags Throughput VolumeType"), **as_it_is}, before)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("ec2").delete_volume(VolumeId=physical)

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        return {"VolumeId": physical}
