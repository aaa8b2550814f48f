"""Instances: a reboot reaches the host, and a terminated one is forgotten after a while."""

import time

from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance

from lab.cloud import revision, state

# Seconds that a terminated instance stays in DescribeInstances. On AWS it is about an hour (EC2, "Terminate
# instances"); long enough here for whoever asks what became of it.
REMEMBERED = 300.0

_gone_since: dict[str, float] = {}


def install() -> None:
    """Let RebootInstances reach the reconciler."""
    Instance.reboot = _reboot  # type: ignore[method-assign]


def tick() -> None:
    """Forget instances that have been terminated for long enough."""
    now = time.monotonic()
    for regions in list(ec2_backends.values()):
        for backend in list(regions.values()):
            for reservation in list(backend.reservations.values()):
                for instance in list(reservation.instances):
                    if instance.state != "terminated":
                        continue
                    if now - _gone_since.setdefault(instance.id, now) > REMEMBERED:
                        reservation.instances.remove(instance)
                        del _gone_since[instance.id]
                        revision.changed()
                if not reservation.instances:
                    backend.reservations.pop(reservation.id, None)


def _reboot(self: Instance) -> None:
    state.ask_for_reboot(self.id)
