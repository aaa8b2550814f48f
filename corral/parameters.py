"""Whose a parameter of SSM Parameter Store is: its tags say for which project's environment it was made.

The path, /corral/<environment>, does not name the project: two projects in one account may each call an
environment "live", and must not take each other's image and secrets for theirs.
"""

from corral.aws import client, explained
from corral.errors import CorralError
from corral.settings import Settings

SEE = "docs/secrets.md"
PROJECT = "corral:project"


def tags(settings: Settings) -> list[dict[str, str]]:
    """The tags of every parameter that corral makes for the environment."""
    said = {PROJECT: settings.project, "corral:environment": settings.environment}
    return [{"Key": key, "Value": value} for key, value in said.items()]


def refuse_anothers(settings: Settings, name: str) -> None:
    """Raise CorralError when the parameter `name`, which exists, belongs to another project."""
    _refuse(settings, name, _project(settings, name))


def adopt(settings: Settings, name: str) -> None:
    """Make a parameter that exists the environment's own, if it is nobody's. Raises CorralError otherwise."""
    project = _project(settings, name)
    _refuse(settings, name, project)
    if project is None:
        with explained(settings):
            client(settings, "ssm").add_tags_to_resource(
                ResourceType="Parameter", ResourceId=name, Tags=tags(settings)
            )


def _refuse(settings: Settings, name: str, project: str | None) -> None:
    if project not in {None, settings.project}:
        raise CorralError(
            f"{name} belongs to project {project}: an account holds one environment"
            f" {settings.environment} only, whatever its project.",
            f"Give this one another name, or another account. If {project} has no such environment any more,"
            f" delete its parameters under {settings.parameter_prefix}/.",
            SEE,
        )


def _project(settings: Settings, name: str) -> str | None:
    with explained(settings):
        found = client(settings, "ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId=name)
    return {tag["Key"]: tag["Value"] for tag in found["TagList"]}.get(PROJECT)
