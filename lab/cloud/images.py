"""The machine image of the lab's hosts, and the public parameter by which Debian names its newest image."""

import re
from typing import Any

from moto import settings
from moto.core.utils import utcnow
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ssm.models import Parameter, ParameterDict

# What the lab boots for it is its own base image, whatever the machine's architecture.
AMIS = {"amd64": "ami-0deb1a13000000001", "arm64": "ami-0deb1a13000000002"}
ARCHITECTURES = {"amd64": "x86_64", "arm64": "arm64"}
# Debian wiki, "Cloud/AmazonEC2Image": its images are owned by this account and named by these parameters.
DEBIAN_ACCOUNT = "136693071363"
PARAMETER = re.compile(r"/aws/service/debian/release/13/latest/(amd64|arm64)")


def install() -> None:
    """Let the API know the lab's images and no others."""
    settings.ENABLE_AMI_VALIDATION = True
    AmiBackend._load_amis = _load_amis  # type: ignore[method-assign]
    ParameterDict._check_loading_status = _add_parameter  # type: ignore[method-assign]


def _load_amis(self: AmiBackend) -> None:
    for architecture, ami_id in AMIS.items():
        self.amis[ami_id] = Ami(
            self,
            ami_id,
            name=f"debian-13-{architecture}-lab",
            description="Debian 13, as the lab boots it",
            owner_id=DEBIAN_ACCOUNT,
            public=True,
            virtualization_type="hvm",
            architecture=ARCHITECTURES[architecture],
            root_device_type="ebs",
            root_device_name="/dev/xvda",
            hypervisor="xen",
            creation_date=utcnow(),
        )


def _add_parameter(self: ParameterDict, key: Any) -> None:
    match = PARAMETER.fullmatch(str(key or ""))
    if match and not dict.__contains__(self, key):
        dict.__setitem__(
            self,
            key,
            [
                Parameter(
                    account_id=self.account_id,
                    name=key,
                    value=AMIS[match[1]],
                    parameter_type="String",
                    description=None,
                    allowed_pattern=None,
                    keyid=None,
                    last_modified_date=utcnow(),
                    version=1,
                    data_type="aws:ec2:image",
                )
            ],
        )
