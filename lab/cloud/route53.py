"""Hosted zones: one that is made with a VPC is private, whether or not the caller says that twice."""

from moto.core.responses import ActionResult
from moto.route53.responses import Route53

_create = Route53.create_hosted_zone


def install() -> None:
    """Take a zone's VPC for the sign that it is private; moto forgets the VPC without a second one."""
    Route53.create_hosted_zone = _create_private  # type: ignore[method-assign]


def _create_private(self: Route53) -> ActionResult:
    # "To create a private hosted zone, specify a VPC" (API reference, "CreateHostedZone").
    if self._get_param("VPC.VPCId"):
        self.params["HostedZoneConfig"] = {**(self._get_param("HostedZoneConfig") or {}), "PrivateZone": True}
    return _create(self)
