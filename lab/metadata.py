"""EC2's instance metadata service (IMDSv2) for the lab's hosts; it knows its caller by the source address."""

import http.server
import json
import re
import secrets
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

from corral import settings
from lab.metadata_tree import Facts, find, tree
from lab.paths import INSTANCES, METADATA

_VERSION = re.compile(r"^(latest|1\.0|\d{4}-\d\d-\d\d)$")
_MOST_SECONDS = 21600  # a token's longest life (EC2's user guide, "Use IMDSv2")
_CREDENTIAL_SECONDS = 3600
_RENEW_SECONDS = 1800


@dataclass
class Knowledge:
    """What the service knows: the instances that the reconciler wrote down, tokens, roles' credentials."""

    tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    credentials: dict[str, tuple[str, float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _read: tuple[int, dict[str, Facts]] = (0, {})

    def facts(self, address: str) -> Facts | None:
        """Of the instance with this address; None for a stranger."""
        with self.lock:
            changed = INSTANCES.stat().st_mtime_ns if INSTANCES.exists() else 0
            if changed != self._read[0]:
                instances = json.loads(INSTANCES.read_text())
                self._read = (changed, {key: Facts(**value) for key, value in instances.items()})
            return self._read[1].get(address)

    def new_token(self, address: str, seconds: int) -> str:
        """A token that this one instance may use for so long."""
        token = secrets.token_urlsafe(42)
        with self.lock:
            now = time.monotonic()
            self.tokens = {key: value for key, value in self.tokens.items() if value[1] > now}
            self.tokens[token] = (address, now + seconds)
        return token

    def token_holds(self, address: str, token: str) -> bool:
        """Whether a token was given to this instance and is not over."""
        with self.lock:
            owner, ends = self.tokens.get(token, ("", 0.0))
        return owner == address and ends > time.monotonic()

    def role_credentials(self, facts: Facts) -> str:
        """Credentials of an instance's role as the service shows them; renewed well before they end."""
        instance_id = facts.instance["InstanceId"]
        with self.lock:
            text, made = self.credentials.get(instance_id, ("", 0.0))
        if text and time.monotonic() - made < _RENEW_SECONDS:
            return text
        try:
            text = _assume(facts.profile["RoleArn"], instance_id, facts.region)
        except ClientError as error:
            # What EC2 shows when the role does not trust it (its user guide, "Troubleshoot IAM roles").
            refused = {"Code": "AssumeRoleUnauthorizedAccess", "Message": str(error)}
            return json.dumps({**refused, "LastUpdated": _now()}, indent=2)
        with self.lock:
            self.credentials[instance_id] = (text, time.monotonic())
        return text


def _assume(role: str, session: str, region: str) -> str:
    operator = settings.load("lab").aws
    sts = boto3.client(
        "sts",
        region_name=region,
        endpoint_url=operator.endpoint_url,
        aws_access_key_id=operator.access_key_id,
        aws_secret_access_key=operator.secret_access_key,
    )
    answer = sts.assume_role(RoleArn=role, RoleSessionName=session, DurationSeconds=_CREDENTIAL_SECONDS)
    given = answer["Credentials"]
    shown = {
        "Code": "Success",
        "LastUpdated": _now(),
        "Type": "AWS-HMAC",
        "AccessKeyId": given["AccessKeyId"],
        "SecretAccessKey": given["SecretAccessKey"],
        "Token": given["SessionToken"],
        "Expiration": given["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return json.dumps(shown, indent=2)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Imds(http.server.BaseHTTPRequestHandler):
    """One request. The service's own answers: 400, 401, 403, 404, as in EC2's user guide."""

    protocol_version = "HTTP/1.1"
    server_version = "EC2ws"
    sys_version = ""
    timeout = 60
    wbufsize = -1  # head and body in one packet; in two, the second waits for the first's acknowledgement
    knowledge = Knowledge()

    def do_PUT(self) -> None:
        """Give a session token."""
        if self.path != "/latest/api/token":
            return self._answer(404)
        if self.headers.get("X-Forwarded-For"):
            return self._answer(403)
        seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if not seconds.isdigit() or not 1 <= int(seconds) <= _MOST_SECONDS:
            return self._answer(400)
        token = self.knowledge.new_token(self.client_address[0], int(seconds))
        return self._answer(200, token, {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": seconds})

    def do_GET(self) -> None:
        """Answer one path of the caller's tree."""
        facts = self.knowledge.facts(self.client_address[0])
        if facts is None:
            return self._answer(404)
        options = facts.instance.get("MetadataOptions", {})
        token = self.headers.get("X-aws-ec2-metadata-token")
        if options.get("HttpEndpoint") == "disabled":
            return self._answer(403)
        required = options.get("HttpTokens", "required") == "required"
        if (required or token) and not self.knowledge.token_holds(self.client_address[0], token or ""):
            return self._answer(401)
        version, _, path = self.path.partition("?")[0].lstrip("/").partition("/")
        if not version:
            return self._answer(200, "1.0\n2021-03-23\nlatest")
        answer = self._find(facts, path) if _VERSION.match(version) else None
        return self._answer(404) if answer is None else self._answer(200, answer)

    def _find(self, facts: Facts, path: str) -> str | None:
        found = find(tree(facts), path)
        if found == "" and path.strip("/").startswith("meta-data/iam/security-credentials/"):
            return self.knowledge.role_credentials(facts)
        return found

    def _answer(self, code: int, text: str = "", headers: dict[str, str] | None = None) -> None:
        body = text.encode()
        self.send_response(code)
        for key, value in {"Content-Type": "text/plain", **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(address: str = METADATA, port: int = 80) -> None:
    """Serve until killed; in the router's namespace, where the address is."""
    with http.server.ThreadingHTTPServer((address, port), Imds) as server:
        print(f"metadata service on {address}:{port}", file=sys.stderr, flush=True)
        server.serve_forever()


def dump(facts: dict[str, Facts]) -> str:
    """The text of instances.json: facts by private address."""
    return json.dumps({address: vars(one) for address, one in facts.items()}, default=_plain, indent=1)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    raise TypeError(f"{value!r} has no place in instances.json")


if __name__ == "__main__":
    serve()
