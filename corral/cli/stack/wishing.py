"""What `apply` and `diff` ask of CloudFormation beyond the settings, by what there is already."""

from corral.aws import client, explained
from corral.bundle import store
from corral.cloudformation import expiry
from corral.cloudformation.request import Wishes, has_servers
from corral.cloudformation.stacks import Stack
from corral.releases.bucket import Bucket, NoBucket
from corral.settings import Settings


def wishes(
    settings: Settings, stack: Stack | None, replace_servers: bool, expires_in: int | None = None
) -> Wishes:
    """What to ask for of `stack`, the environment's as it is. Raises CorralError.

    There are servers as soon as there is a bundle, for they configure themselves with it. A stack that has
    some keeps them: then nobody looks for the bundle's pointer, and it does no harm if that is gone.
    """
    there = has_servers(stack)
    first = stack is None or not stack.exists
    return Wishes(
        servers=there or _there_is_a_bundle(settings),
        # Where there are none, the policy by which they are replaced would not even fit the group.
        replace_servers=replace_servers and there,
        expires=expiry.day(settings, expires_in, first),
    )


def _there_is_a_bundle(settings: Settings) -> bool:
    """Whether the environment says which bundle its nodes run."""
    with explained(settings):
        bucket = Bucket(client(settings, "s3"), settings.releases_bucket, settings.environment)
        try:
            return store.pointer(bucket) is not None
        except NoBucket:
            return False
