"""A small AWS for the host's scripts: metadata and six services on one port; checks every signature."""

import json
import re
import threading
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY, SECRET, SESSION = (
    "ASIAEXAMPLEEXAMPLE00",
    "a/secret+key/of=theRole0000000000000000",
    "session//token+with=signs==",
)
TOKEN = "metadata-token=="
USERID = "AROAEXAMPLEEXAMPLE00:i-0fedcba9876543210"
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request, ?"
    r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)
ROUTE53 = "{https://route53.amazonaws.com/doc/2013-04-01/}"


class FakeAws(ThreadingHTTPServer):
    """Keeps `objects`, serves `parameters`, remembers `records` and `forms`; answers with `failures` first.

    `forms`: what EC2 and Auto Scaling were asked for. `states`: what the group wants the instance to become;
    each is told once (None: there is no answer; 401: the token was forgotten), the last again and again.
    `tree`: more of the instance's metadata. `times`: when objects were written. `userid`: who asks.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects, self.parameters, self.records, self.failures, self.requests = {}, {}, {}, [], []
        self.forms, self.states, self.tree, self.times = [], [], {}, {}
        self.role, self.userid = "chat-lab-app", USERID
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", kind="text/plain"):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("ETag", '"of-whatever-this-is"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def cut_off(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"1")
        self.close_connection = True

    def do_PUT(self):
        if not self.path.startswith("/latest/"):
            return self.service(self.rfile.read(int(self.headers["Content-Length"])))
        wanted = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self.answer(200, TOKEN) if wanted else self.answer(400)

    def do_GET(self):
        if self.path.startswith("/latest/"):
            return self.metadata(self.path.removeprefix("/latest/meta-data/"))
        self.service(b"")

    def do_POST(self):
        self.service(self.rfile.read(int(self.headers["Content-Length"])))

    def metadata(self, path):
        if self.headers["X-aws-ec2-metadata-token"] != TOKEN:
            return self.answer(401)
        role = self.server.role
        known = {"placement/region": "eu-west-1", **self.server.tree}
        credentials = {
            "iam/security-credentials/": role,
            f"iam/security-credentials/{role}": json.dumps(
                {"Code": "Success", "AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": SESSION}, indent=2
            ),
        }
        known |= credentials if role else {}
        if states := self.server.states:
            state = states.pop(0) if len(states) > 1 and path.startswith("autoscaling/") else states[0]
            if state == 401:
                return self.answer(401, "<title>401 - Unauthorized</title>")
            known |= {"autoscaling/target-lifecycle-state": state} if state else {}
        self.answer(200, known[path]) if path in known else self.answer(404)

    def service(self, body):
        self.server.requests.append((self.command, self.path))
        if self.server.failures:
            failure = self.server.failures.pop(0)
            return self.cut_off() if failure == "cut off" else self.answer(*failure)
        service, region = self.signed(body)
        match service:
            case "sts":
                userid = f"<UserId>{self.server.userid}</UserId>"
                self.answer(200, f"<GetCallerIdentityResponse>{userid}</GetCallerIdentityResponse>")
            case "s3" if self.command == "PUT":
                key = unquote(self.path.lstrip("/"))
                self.server.objects[key] = body
                self.server.times[key] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
                self.answer(200)
            case "s3" if "?" in self.path:
                self.answer(200, self.listed(), "application/xml")
            case "s3":
                found = self.server.objects.get(unquote(self.path.lstrip("/")))
                missing = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
                self.answer(403, missing) if found is None else self.answer(200, found)
            case "ssm" if self.headers["X-Amz-Target"] == "AmazonSSM.GetParameter":
                asked = json.loads(body)
                assert asked["WithDecryption"] is True
                if (value := self.server.parameters.get(asked["Name"])) is None:
                    return self.answer(400, json.dumps({"__type": "ParameterNotFound"}))
                self.answer(200, json.dumps({"Parameter": {"Name": asked["Name"], "Value": value}}))
            case "route53" if region == "us-east-1":
                zone = re.fullmatch(r"/2013-04-01/hostedzone/([A-Z0-9]+)/rrset", self.path)[1]
                change = ET.fromstring(body).find(f".//{ROUTE53}Change")
                text = {element.tag.removeprefix(ROUTE53): element.text for element in change.iter()}
                self.server.records[zone, text["Name"]] = (
                    text["Action"],
                    text["Type"],
                    text["TTL"],
                    text["Value"],
                )
                self.answer(200, "<ChangeResourceRecordSetsResponse/>", "text/xml")
            case "ec2" | "autoscaling" if region == "eu-west-1":
                self.server.forms.append(dict(parse_qsl(body.decode())))
                self.answer(200, "<Response/>", "text/xml")
            case _:
                self.answer(403, "<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>")

    def listed(self):
        """A page of two keys of a bucket (S3 API reference, ListObjectsV2)."""
        bucket, _, query = self.path.lstrip("/").partition("?")
        asked = dict(parse_qsl(query))
        assert asked["list-type"] == "2"
        whole = f"{bucket}/{asked['prefix']}"
        keys = sorted(key for key in self.server.objects if key.startswith(whole))
        start = int(asked.get("continuation-token", "/+=0").removeprefix("/+="))
        rows = "".join(
            f"<Contents><Key>{key.removeprefix(f'{bucket}/')}</Key><LastModified>{self.server.times[key]}</LastModified>"
            f"<ETag>&quot;0f&quot;</ETag>\n<Size>{len(self.server.objects[key])}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in keys[start : start + 2]
        )
        more = f"<NextContinuationToken>/+={start + 2}</NextContinuationToken>" if keys[start + 2 :] else ""
        return f"<ListBucketResult>{more}<Prefix>{asked['prefix']}</Prefix>{rows}</ListBucketResult>"

    def signed(self, body):
        """The service and region that the request is rightly signed for; (None, None) otherwise."""
        match = AUTHORIZATION.fullmatch(self.headers.get("Authorization", ""))
        if not match or self.headers["x-amz-security-token"] != SESSION:
            return None, None
        key, region, service, names, signature = match.groups()
        request = AWSRequest(
            self.command,
            f"http://{self.headers['Host']}{self.path}",
            headers={name: self.headers[name] for name in names.split(";")},
            data=body,
        )
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        kind = S3SigV4Auth if service == "s3" else SigV4Auth
        signer = kind(Credentials(KEY, SECRET, SESSION), service, region)
        said = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        return (service, region) if (key, said) == (KEY, signature) else (None, None)
