"""The servers: a launch template and an auto-scaling group for each role; groups of one for singletons."""

from collections.abc import Mapping
from dataclasses import dataclass

from troposphere import Base64, FindInMap, GetAtt, Parameter, Ref, Template, ec2, iam

from corral.settings import ROOT, SINGLETONS, Settings
from corral.settings.sections import Server
from corral.stack import groups, security, switches
from corral.stack.balancer import Front
from corral.stack.names import Zones
from corral.stack.network import Network
from corral.stack.statements import Id
from corral.stack.tags import tags

USER_DATA = ROOT / "files" / "user-data.sh"
# Where the template holds the script: once, for it is the same for every role, and most of a template's size.
SCRIPT = ("FirstBoot", "UserData", "Script")
# The root volume of Debian's images (Debian wiki, "Cloud/AmazonEC2Image").
ROOT_DEVICE = "/dev/xvda"
# The parameter that names the machine image.
IMAGE = "Image"


@dataclass(frozen=True)
class Parts:
    """What servers are made of, from the other parts of the stack."""

    net: Network
    security: security.Groups
    zones: Zones
    front: Front
    profiles: Mapping[str, iam.InstanceProfile]
    volumes: Mapping[str, Id]


def add(template: Template, settings: Settings, parts: Parts) -> None:
    """Add the app servers behind the balancer, and the one server of each other role."""
    image = template.add_parameter(
        Parameter(
            IMAGE,
            Type="AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
            Default=settings.image_parameter,
            Description="Names the machine image that servers are launched with",
        )
    )
    mapping, key, attribute = SCRIPT
    template.add_mapping(mapping, {key: {attribute: USER_DATA.read_text(encoding="utf-8")}})
    switches.add(template)
    launch = _launch_template(template, settings, "app", settings.app, image, parts)
    groups.add_app(template, settings, launch, parts.net, parts.zones, parts.front)
    for role in SINGLETONS:
        launch = _launch_template(template, settings, role, settings.singleton(role), image, parts)
        groups.add_singleton(template, settings, role, launch, parts.net, parts.zones, parts.volumes[role])


def _launch_template(
    template: Template,
    settings: Settings,
    role: str,
    options: Server,
    image: Parameter,
    parts: Parts,
) -> ec2.LaunchTemplate:
    data = ec2.LaunchTemplateData(
        ImageId=Ref(image),
        InstanceType=options.instance_type,
        IamInstanceProfile=ec2.IamInstanceProfile(Arn=GetAtt(parts.profiles[role], "Arn")),
        # By Ref, the same id: an attribute is taken for another one whenever the group gets other rules.
        SecurityGroupIds=[Ref(parts.security[role])],
        # Hop limit 1: a process in a container or behind a proxy on the host gets no credentials.
        MetadataOptions=ec2.MetadataOptions(
            HttpEndpoint="enabled",
            HttpTokens="required",
            HttpPutResponseHopLimit=1,
            InstanceMetadataTags="enabled",
        ),
        BlockDeviceMappings=[
            ec2.LaunchTemplateBlockDeviceMapping(
                DeviceName=ROOT_DEVICE,
                Ebs=ec2.EBSBlockDevice(
                    VolumeType="gp3",
                    VolumeSize=options.disk_gib,
                    Encrypted=True,
                    # Nothing that matters is on it: data has a volume of its own.
                    DeleteOnTermination=True,
                ),
            )
        ],
        UserData=Base64(FindInMap(*SCRIPT)),
        # The group tags its instances; their volumes it does not.
        TagSpecifications=[ec2.TagSpecifications(ResourceType="volume", Tags=tags(settings, role))],
    )
    if settings.ssh.key_name:
        data.KeyName = settings.ssh.key_name
    return template.add_resource(
        ec2.LaunchTemplate(
            f"{role.capitalize()}Launch",
            LaunchTemplateName=settings.role_name(role),
            LaunchTemplateData=data,
            TagSpecifications=[
                ec2.TagSpecifications(ResourceType="launch-template", Tags=tags(settings, role))
            ],
        )
    )
