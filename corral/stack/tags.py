"""The tags that every resource bears: whose it is, and what it is called."""

from troposphere import Tags

from corral.settings import Settings


def tags(settings: Settings, what: str) -> Tags:
    """Tags of a resource called `what` within its stack, such as "balancer"."""
    return Tags(
        {
            "Name": f"{settings.stack_name}-{what}",
            "corral:project": settings.project,
            "corral:environment": settings.environment,
        }
    )
