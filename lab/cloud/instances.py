"""Instances: a reboot reaches the host, a terminated one goes when its host has, and is forgotten later."""

import copy
import time
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance

from lab.cloud import revision, state

# Seconds that a terminated instance stays in DescribeInstances. On AWS it is about an hour (EC2, "Terminate
# instances"); long enough here for whoever asks what became of it.
REMEMBERED = 300.0
LEAVING = {"shutting-down", "terminated"}

_gone_since: dict[str, float] = {}
_start, _stop, _terminate = Instance.start, Instance.stop, Instance.terminate


def install() -> None:
    """Let what is asked of instances reach their hosts."""
    Instance.reboot = _reboot  # type: ignore[method-assign]
    Instance.start = _checked_start  # type: ignore[method-assign]
    Instance.stop = _checked_stop  # type: ignore[method-assign]
    Instance.terminate = _begin_to_terminate  # type: ignore[method-assign]


def tick() -> None:
    """Terminate instances whose hosts have gone; forget those that have been terminated for long enough."""
    now = time.monotonic()
    for regions in list(ec2_backends.values()):
        for backend in list(regions.values()):
            for reservation in list(backend.reservations.values()):
                for instance in list(reservation.instances):
                    if instance.state == "shutting-down" and not state.has_host(instance.id):
                        _terminate(instance)
                        revision.changed()
                    if instance.state != "terminated":
                        continue
                    if now - _gone_since.setdefault(instance.id, now) > REMEMBERED:
                        reservation.instances.remove(instance)
                        del _gone_since[instance.id]
                        revision.changed()
                if not reservation.instances:
                    backend.reservations.pop(reservation.id, None)


def _begin_to_terminate(self: Instance) -> Any:
    """It keeps its volumes and its address as long as there is a host that has them."""
    previous = copy.copy(self._state)
    if self.state in LEAVING:
        return previous
    if not state.has_host(self.id):
        return _terminate(self)
    self._state.name, self._state.code = "shutting-down", 32
    return previous


def _checked_start(self: Instance) -> Any:
    _refuse_when_leaving(self, "started")
    return _start(self)


def _checked_stop(self: Instance) -> Any:
    _refuse_when_leaving(self, "stopped")
    return _stop(self)


def _refuse_when_leaving(instance: Instance, what: str) -> None:
    if instance.state in LEAVING:
        raise EC2ClientError(
            "IncorrectInstanceState",
            f"The instance '{instance.id}' is not in a state from which it can be {what}.",
        )


def _reboot(self: Instance) -> None:
    state.ask_for_reboot(self.id)
