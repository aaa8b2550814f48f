"""Who calls, and whether they may: a host's role may do what its policies say, the operator everything.

Role credentials are those that sts.AssumeRole gave out. Their calls are checked: key, token, date, signature,
and the role's policies. What comes in by way of TLS comes from a host, and needs such credentials.
"""

import json
from typing import Any

from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import utcnow
from moto.iam.access_control import IAMRequest, S3IAMRequest
from moto.iam.models import iam_backends
from moto.s3.exceptions import (
    S3AccessDeniedError,
    S3InvalidAccessKeyIdError,
    S3InvalidTokenError,
    S3SignatureDoesNotMatchError,
)
from moto.s3.models import s3_backends
from moto.sts.models import AssumedRole, STSBackend, sts_backends

from lab.cloud import policies, requests, revision
from lab.cloud.grants import lacking, principal

_call_action = BaseResponse.call_action
_assume_role = STSBackend.assume_role


class Refused(ServiceException):
    """A request that its caller may not make."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code
        self.status_code = 403


def install() -> None:
    """Check every request."""
    BaseResponse.call_action = _checked_call  # type: ignore[method-assign]
    ActionAuthenticatorMixin._authenticate_and_authorize_normal_action = _nothing  # type: ignore[method-assign]
    ActionAuthenticatorMixin._authenticate_and_authorize_s3_action = _check_s3  # type: ignore[method-assign]
    STSBackend.assume_role = _trusting_assume_role  # type: ignore[method-assign]


def _nothing(self: Any, resource: str = "*") -> None:
    """S3 is checked where bucket and key are known, everything else before it is called."""


def _checked_call(self: Any) -> Any:
    if self.service_name == "s3":
        return _call_action(self)
    try:
        action = self._get_action()
        role = _caller(self, action)
        service = _credential(self)[1]
        if role and not (service == "sts" and action == "GetCallerIdentity"):
            asked = requests.context(service, action, self) | principal(role)
            for resource in requests.resources(service, action, self):
                about = asked | requests.resource_context(service, resource, self)
                _check(role, f"{service}:{action}", resource, about)
    except Refused as error:
        status, headers, body = self.serialized(ActionResult(error))
        headers["status"] = status
        return status, headers, body
    try:
        return _call_action(self)
    finally:
        # After it was done: who looks at the new number finds the change.
        revision.called(action)


def _check_s3(self: Any, bucket_name: str | None = None, key_name: str | None = None) -> None:
    action = self._get_action()
    action = action[0] if isinstance(action, list) else action
    try:
        role = _caller(self, action)
    except Refused as error:
        raise _S3_REFUSALS[error.code]() from error
    if role is None:
        return
    resource = f"arn:aws:s3:::{bucket_name or '*'}" + (f"/{key_name}" if key_name else "")
    asked = requests.context("s3", action, self) | principal(role)
    if not _may_s3(self, role, f"s3:{action}", resource, bucket_name, asked):
        raise S3AccessDeniedError()
    bucket = f"arn:aws:s3:::{bucket_name}"
    missing = action == "GetObject" and bucket_name and not self.backend.get_object(bucket_name, key_name)
    if missing and not _may_s3(self, role, "s3:ListBucket", bucket, bucket_name, asked):
        # Who may not list a bucket does not learn what is missing in it (S3 API, "GetObject", Permissions).
        raise S3AccessDeniedError()


def _may_s3(
    self: Any, role: AssumedRole, action: str, resource: str, bucket_name: str | None, asked: policies.Context
) -> bool:
    bucket = s3_backends[self.current_account]["aws"].buckets.get(bucket_name or "")
    own = [json.loads(bucket.policy)] if bucket and bucket.policy else []
    return not policies.denied(own, action, resource, asked) and not lacking(role, action, resource, asked)


def _caller(self: Any, action: Any) -> AssumedRole | None:
    """The role whose credentials the request bears; None for the operator. Raises Refused."""
    key, service = _credential(self)
    if not key.startswith("ASIA"):
        if self.headers.get("X-Forwarded-Proto") == "https":
            message = "The security token included in the request is invalid."
            raise Refused(
                "InvalidClientTokenId", f"{message} (The lab: hosts call with their role's credentials.)"
            )
        return None
    role: AssumedRole | None = sts_backends[self.current_account]["aws"].get_assumed_role_from_access_key(key)
    if role is None:
        raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.")
    if utcnow() > role.expiration:
        raise Refused("ExpiredToken", "The security token included in the request is expired")
    token = self.headers.get("X-Amz-Security-Token") or self.querystring.get("X-Amz-Security-Token", [""])[0]
    if token != role.session_token:
        raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.")
    if "Authorization" in self.headers:
        _check_signature(self, service, action)
    return role


def _check_signature(self: Any, service: str, action: Any) -> None:
    query = self.parsed_url.query
    kind = S3IAMRequest if service == "s3" else IAMRequest
    request = kind(
        account_id=self.current_account,
        method=self.method,
        path=f"{self.raw_path}?{query}" if query else self.raw_path,
        # A form, whose body the server has read already; moto would sign a GET's headers as if they were one.
        data=self.data if self.method == "POST" else {},
        body=self.raw_body,
        headers=self.headers,
        action=action,
    )
    given = request._get_string_between("Signature=", ",", self.headers["Authorization"])
    if given != request._calculate_signature():
        message = "The request signature we calculated does not match the signature you provided."
        raise Refused("SignatureDoesNotMatch", message)


def _credential(self: Any) -> tuple[str, str]:
    """Access key id and service of the request's signature."""
    said = self.headers.get("Authorization", "")
    scope = said.partition("Credential=")[2].partition(",")[0]
    scope = scope or self.querystring.get("X-Amz-Credential", [""])[0]
    parts = scope.strip().split("/")
    return parts[0], parts[3] if len(parts) > 3 else str(self.service_name)


def _trusting_assume_role(self: STSBackend, **asked: Any) -> AssumedRole:
    """The role must be there; one that an instance wears (its id names the session) must trust EC2."""
    name = asked["role_arn"].split("/")[-1]
    role = next(
        (each for each in iam_backends[self.account_id]["aws"].roles.values() if each.name == name), None
    )
    refusal = f"The role {asked['role_arn']} can't be assumed:"
    if role is None:
        raise Refused("AccessDenied", f"{refusal} there is no such role.")
    if asked["role_session_name"].startswith("i-"):
        trust = role.assume_role_policy_document
        if not policies.trusts(json.loads(trust) if isinstance(trust, str) else trust, "ec2.amazonaws.com"):
            raise Refused("AccessDenied", f"{refusal} its trust policy does not name ec2.amazonaws.com.")
    return _assume_role(self, **asked)


def _check(role: AssumedRole, action: str, resource: str, asked: policies.Context) -> None:
    missing = lacking(role, action, resource, asked)
    if not missing:
        return
    code = {"ec2": "UnauthorizedOperation", "ssm": "AccessDeniedException"}.get(
        action.partition(":")[0], "AccessDenied"
    )
    about = f"is not authorized to perform: {action} on resource: {resource}"
    raise Refused(code, f"User: {role.arn} {about} because no {missing} allows the {action} action")


_S3_REFUSALS: dict[str, Any] = {
    "InvalidClientTokenId": S3InvalidAccessKeyIdError,
    "ExpiredToken": S3InvalidTokenError,
    "SignatureDoesNotMatch": S3SignatureDoesNotMatchError,
}
