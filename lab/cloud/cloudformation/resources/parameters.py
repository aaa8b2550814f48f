"""Parameters of SSM's Parameter Store."""
# ruff: noqa: D102 (what create, update, delete and attributes do is said once, in base.py)

from lab.cloud.cloudformation.resources.base import Cloud, Kind, Properties, names, pick

PARAMETER = "Description Name Tier Type Value"


class Parameter(Kind):
    """A parameter. CloudFormation makes no SecureString."""

    type = "AWS::SSM::Parameter"
    properties = names(PARAMETER)
    replaced_by = names("Name")
    name = "Name"

    def create(self, cloud: Cloud, given: Properties) -> str:
        cloud("ssm").put_parameter(**pick(given, PARAMETER))
        return str(given["Name"])

    def update(self, cloud: Cloud, physical: str, given: Properties, before: Properties) -> None:
        cloud("ssm").put_parameter(**pick(given, PARAMETER), Overwrite=True)

    def delete(self, cloud: Cloud, physical: str, given: Properties) -> None:
        cloud("ssm").delete_parameter(Name=physical)

    def attributes(self, cloud: Cloud, physical: str) -> dict[str, str]:
        parameter = cloud("ssm").get_parameter(Name=physical)["Parameter"]
        return {"Type": parameter["Type"], "Value": parameter["Value"]}
