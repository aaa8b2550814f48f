"""What `apply` and `diff` ask of CloudFormation beyond the settings, by what there is already."""

from corral.aws import client, explained
from corral.bundle import store as bundles
from corral.cloudformation import expiry
from corral.cloudformation.request import Wishes, has_servers
from corral.cloudformation.stacks import Stack
from corral.releases import store as releases
from corral.releases.bucket import Bucket, NoBucket
from corral.settings import Settings


def wishes(
    settings: Settings, stack: Stack | None, replace_servers: bool, expires_in: int | None = None
) -> Wishes:
    """What to ask for of `stack`, the environment's as it is. Raises CorralError.

    There are servers as soon as there is a bundle, for they configure themselves with it, and a release, for
    app servers are not ready without. A stack that has some keeps them: then nobody looks for the pointers,
    and it does no harm if one is gone.
    """
    there = has_servers(stack)
    first = stack is None or not stack.exists
    return Wishes(
        servers=there or _can_get_ready(settings),
        # Where there are none, the policy by which they are replaced would not even fit the group.
        replace_servers=replace_servers and there,
        expires=expiry.day(settings, expires_in, first),
    )


def _can_get_ready(settings: Settings) -> bool:
    """Whether the environment says which bundle its nodes run, and which release."""
    with explained(settings):
        bucket = Bucket(client(settings, "s3"), settings.releases_bucket, settings.environment)
        try:
            return bool(bundles.pointer(bucket) and releases.pointer(bucket))
        except NoBucket:
            return False
