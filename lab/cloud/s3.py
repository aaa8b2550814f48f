"""S3: of two writers who both say "only if nothing is there", one gets through."""

import threading
from typing import Any

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response

_one_at_a_time = threading.Lock()
_put = S3Response.put_object


def install() -> None:
    """Make conditional writes atomic; credentials.py judges bucket policies, and knows their conditions."""
    S3Response.put_object = _put_object  # type: ignore[method-assign]
    FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL  # type: ignore[method-assign]


def _put_object(self: S3Response) -> Any:
    if not (self.headers.get("If-None-Match") or self.headers.get("If-Match")):
        return _put(self)
    with _one_at_a_time:
        return _put(self)
