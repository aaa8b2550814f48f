"""Volumes: created, attached, detached and grown as EBS does it; moto gives one to two instances at once."""

import threading
from datetime import timedelta
from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError, InvalidVolumeDetachmentError
from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_block_store import Volume, VolumeAttachment
from moto.ec2.models.instances import Instance
from moto.ec2.responses.elastic_block_store import ElasticBlockStore

from lab.cloud import revision, state

# How long a new volume is "creating".
MAKING = timedelta(seconds=0.5)
# EC2, "Attach an Amazon EBS volume to an instance": the instance runs, or is stopped.
TAKES_VOLUMES = {"running", "stopped"}

_create, _attach, _modify = (
    ElasticBlockStore.create_volume,
    ElasticBlockStore.attach_volume,
    ElasticBlockStore.modify_volume,
)
# Of many that attach one volume at the same time one wins.
_lock = threading.Lock()


def install() -> None:
    """Put our ways in the place of moto's."""
    ElasticBlockStore.create_volume = _checked_create  # type: ignore[method-assign]
    ElasticBlockStore.attach_volume = _checked_attach  # type: ignore[method-assign]
    ElasticBlockStore.detach_volume = _begin_to_detach  # type: ignore[method-assign]
    ElasticBlockStore.modify_volume = _checked_modify  # type: ignore[method-assign]
    Volume.status = property(_status)  # type: ignore[assignment, method-assign]
    VolumeAttachment.delete_on_termination = property(_goes_with_instance)  # type: ignore[attr-defined]


def tick() -> None:
    """Detach what is to be detached when its host has let go of it, and what is left with terminated ones."""
    for regions in list(ec2_backends.values()):
        for backend in list(regions.values()):
            for volume in list(backend.volumes.values()):
                with _lock:
                    attachment = volume.attachment
                    if attachment and _is_to_go(attachment):
                        _detach_when_free(backend, volume, attachment)


def is_root(instance: Instance, device: str) -> bool:
    """Whether a device is the instance's root disk (moto's own, where no launch asked for one, is sda1)."""
    return device in (instance.root_device_name, "/dev/sda1")


def _status(self: Volume) -> str:
    if self.attachment:
        return "in-use"
    return "creating" if utcnow() - self.create_time < MAKING else "available"


def _goes_with_instance(self: VolumeAttachment) -> bool:
    mapped = self.instance.block_device_mapping.get(self.device)
    return bool(mapped and mapped.delete_on_termination)


def _checked_create(self: ElasticBlockStore) -> ActionResult:
    self.error_on_dryrun()
    zone = self._get_param("AvailabilityZone")
    if not self.ec2_backend.get_zone_by_name(zone):
        raise EC2ClientError("InvalidZone.NotFound", f"The zone '{zone}' does not exist.")
    return _create(self)


def _checked_attach(self: ElasticBlockStore) -> ActionResult:
    self.error_on_dryrun()
    volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
    instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
    device = self._get_param("Device")
    with _lock:
        if volume.attachment:
            raise EC2ClientError("VolumeInUse", f"{volume.id} is already attached to an instance")
        if volume.status != "available":
            raise EC2ClientError("IncorrectState", f"{volume.id} is not 'available'.")
        if instance.state not in TAKES_VOLUMES:
            raise EC2ClientError("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
        if volume.availability_zone != instance.availability_zone:
            raise EC2ClientError(
                "InvalidVolume.ZoneMismatch",
                f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'",
            )
        if device in instance.block_device_mapping:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use",
            )
        return _attach(self)


def _begin_to_detach(self: ElasticBlockStore) -> ActionResult:
    """The volume is detached when its host has let go of it: a mounted one is held until it is unmounted."""
    self.error_on_dryrun()
    volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
    with _lock:
        attachment = volume.attachment
        if attachment is None:
            raise EC2ClientError("IncorrectState", f"Volume '{volume.id}' is in the 'available' state.")
        instance, device = attachment.instance, attachment.device
        asked = self._get_param("InstanceId") or instance.id, self._get_param("Device") or device
        if asked != (instance.id, device):
            raise InvalidVolumeDetachmentError(volume.id, *asked)
        if instance.state == "shutting-down":
            raise EC2ClientError(
                "IncorrectInstanceState",
                f"Unable to detach volume '{volume.id}' from instance '{instance.id}'. "
                "The instance is not in a state in which volumes can be detached.",
            )
        if is_root(instance, device) and instance.state != "stopped":
            raise EC2ClientError(
                "OperationNotPermitted",
                f"Unable to detach root volume '{volume.id}' from instance '{instance.id}'",
            )
        attachment.status = "detaching"
        answer = {
            "VolumeId": volume.id,
            "InstanceId": instance.id,
            "Device": device,
            "State": "detaching",
            "AttachTime": attachment.attach_time,
        }
        _detach_when_free(self.ec2_backend, volume, attachment)
    return ActionResult(answer)


def _is_to_go(attachment: VolumeAttachment) -> bool:
    # One may be attached in the moment in which its instance is terminated.
    return attachment.status == "detaching" or attachment.instance.state == "terminated"


def _detach_when_free(backend: Any, volume: Volume, attachment: VolumeAttachment) -> None:
    if not state.has_volume(attachment.instance.id, volume.id):
        backend.detach_volume(volume.id, attachment.instance.id, attachment.device)
        revision.changed()


def _checked_modify(self: ElasticBlockStore) -> ActionResult:
    self.error_on_dryrun()
    volume, size = self.ec2_backend.get_volume(self._get_param("VolumeId")), self._get_param("Size")
    if volume.status == "creating":
        raise EC2ClientError("IncorrectState", f"{volume.id} is not 'available'.")
    if size and int(size) < int(volume.size):
        raise EC2ClientError("InvalidParameterValue", "New size cannot be smaller than existing size")
    return _modify(self)
