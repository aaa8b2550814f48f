"""The servers: a launch template and an auto-scaling group for each role; groups of one for singletons."""

from troposphere import Base64, GetAtt, Parameter, Ref, Tags, Template, autoscaling, ec2, iam, policies

from corral.settings import ROOT, Settings
from corral.settings.sections import App, Db
from corral.stack.balancer import Front
from corral.stack.names import Zones
from corral.stack.network import Network
from corral.stack.security import Groups
from corral.stack.tags import tags

USER_DATA = ROOT / "files" / "user-data.sh"
# The root volume of Debian's images (Debian wiki, "Cloud/AmazonEC2Image").
ROOT_DEVICE = "/dev/xvda"


def add(
    template: Template,
    settings: Settings,
    net: Network,
    groups: Groups,
    zones: Zones,
    front: Front,
    profiles: dict[str, iam.InstanceProfile],
) -> None:
    """Add the app servers behind the balancer, and the database server."""
    image = template.add_parameter(
        Parameter(
            "Image",
            Type="AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
            Default=settings.image.parameter,
            Description="Names the machine image; the newest when the stack is applied",
        )
    )

    def servers(role: str, options: App | Db, security: ec2.SecurityGroup, **group: object) -> None:
        launch = _launch_template(template, settings, role, options, image, security, profiles[role])
        _group(template, settings, role, net, zones, launch, **group)

    servers(
        "app",
        settings.app,
        groups.app,
        MinSize=str(settings.app.min),
        MaxSize=str(settings.app.max),
        DesiredCapacity=str(settings.app.desired),
        TargetGroupARNs=[Ref(front.site), Ref(front.redirect)],
        HealthCheckType=settings.app.health_check,
        HealthCheckGracePeriod=settings.app.health_check_grace_seconds,
    )
    servers(
        "db",
        settings.db,
        groups.db,
        MinSize="1",
        MaxSize="1",
        DesiredCapacity="1",
        HealthCheckType="EC2",
    )


def _launch_template(
    template: Template,
    settings: Settings,
    role: str,
    options: App | Db,
    image: Parameter,
    security: ec2.SecurityGroup,
    profile: iam.InstanceProfile,
) -> ec2.LaunchTemplate:
    data = ec2.LaunchTemplateData(
        ImageId=Ref(image),
        InstanceType=options.instance_type,
        IamInstanceProfile=ec2.IamInstanceProfile(Arn=GetAtt(profile, "Arn")),
        SecurityGroupIds=[GetAtt(security, "GroupId")],
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
                    # The database's data is here: who terminates its server by a slip still has the volume.
                    DeleteOnTermination=role != "db",
                ),
            )
        ],
        UserData=Base64(USER_DATA.read_text(encoding="utf-8")),
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
        )
    )


def _group(
    template: Template,
    settings: Settings,
    role: str,
    net: Network,
    zones: Zones,
    launch: ec2.LaunchTemplate,
    **options: object,
) -> None:
    template.add_resource(
        autoscaling.AutoScalingGroup(
            f"{role.capitalize()}Group",
            AutoScalingGroupName=settings.role_name(role),
            VPCZoneIdentifier=[Ref(subnet) for subnet in net.private],
            LaunchTemplate=autoscaling.LaunchTemplateSpecification(
                LaunchTemplateId=Ref(launch), Version=GetAtt(launch, "LatestVersionNumber")
            ),
            # What was scaled by hand stays so until these numbers change in the settings. Nothing here
            # replaces running instances: a new image or type comes with the next one that is launched.
            UpdatePolicy=policies.UpdatePolicy(
                AutoScalingScheduledAction=policies.AutoScalingScheduledAction(
                    IgnoreUnmodifiedGroupSizeProperties=True
                )
            ),
            Tags=_propagated(settings, role, zones),
            **options,
        )
    )


def _propagated(settings: Settings, role: str, zones: Zones) -> autoscaling.Tags:
    """Tags that instances inherit; by these the inventory and the host itself learn what the host is for."""
    shared: Tags = tags(settings, role)
    own = {"corral:role": role, "corral:private-zone-id": Ref(zones.private)}
    pairs = {tag["Key"]: tag["Value"] for tag in shared.to_dict()} | own
    return autoscaling.Tags(**{key: (value, True) for key, value in pairs.items()})
