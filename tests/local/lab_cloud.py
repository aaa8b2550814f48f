"""The lab's AWS API as a real server on a free port of this machine, for the tests that need it."""

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from corral.cloudformation import templates
from corral.settings import load
from corral.stack import render
from tests.local.ports import free_port
from tests.local.stack_command import lives_in

# The server's modules take seconds to import: once, in the process that every server is forked from.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["lab.cloud.server", __name__])


class Cloud:
    """The server, and clients of it."""

    def __init__(self, port: int, state: Path):
        self.port = port
        self.endpoint = f"http://127.0.0.1:{port}"
        self.state = state

    def client(self, service: str, **credentials: str) -> Any:
        keys = {"aws_access_key_id": "lab", "aws_secret_access_key": "worth-nothing"} | credentials
        return boto3.client(service, region_name="eu-west-1", endpoint_url=self.endpoint, **keys)

    def through_tls(self, service: str, **credentials: str) -> Any:
        """A client whose requests look as if they came by the lab's TLS endpoint, as hosts' do."""
        client = boto3.client(
            service,
            region_name="eu-west-1",
            endpoint_url=self.endpoint,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
            **credentials,
        )

        def mark(request: Any, **_: Any) -> None:
            request.headers["X-Forwarded-Proto"] = "https"

        client.meta.events.register("before-send.*.*", mark)
        return client

    def as_host(self, service: str, role: str, statements: list[dict[str, Any]]) -> Any:
        """A host's client: with the credentials of a new role that has these statements for its policy."""
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        iam = self.client("iam")
        made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=_document([trust]))["Role"]
        iam.put_role_policy(RoleName=role, PolicyName="own", PolicyDocument=_document(statements))
        given = self.client("sts").assume_role(RoleArn=made["Arn"], RoleSessionName="i-0123")["Credentials"]
        return self.through_tls(
            service,
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )


def _document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def prepared(api: Cloud, name: str = "lab") -> dict[str, Any]:
    """The template of an environment, and what `corral stack apply` makes before it: its image."""
    settings = load(name)
    ssm = api.client("ssm")
    image = ssm.get_parameter(Name=settings.image.parameter)["Parameter"]["Value"]
    ssm.put_parameter(Name=settings.image_parameter, Value=image, Type="String", Overwrite=True)
    template: dict[str, Any] = json.loads(render(settings))
    return template


def sent(api: Cloud, template: dict[str, Any]) -> dict[str, str]:
    """The part of a request that gives a template, within CloudFormation's bounds: a big one goes by S3."""
    body = json.dumps(template, separators=(",", ":"))
    if len(body.encode()) <= templates.INLINE_BYTES:
        return {"TemplateBody": body}
    return templates.given(lives_in(api, load("lab")), body)


def wait_for(look: Callable[[], Any], seconds: float = 120.0) -> Any:
    """What `look` gives as soon as it gives something true; patient enough for a busy machine."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.1)
    return found


class Stacks:
    """CloudFormation as a customer uses it."""

    def __init__(self, api):
        self.api = api
        self.client = api.client("cloudformation")

    def create(self, body, name, **more):
        """Create a stack and wait; what came of it."""
        words = sent(self.api, body) | {"Capabilities": ["CAPABILITY_NAMED_IAM"]}
        self.client.create_stack(StackName=name, **words, **more)
        return self.rest(name)

    def propose(self, name, change_set, body, kind="UPDATE", **more):
        """Make a change set; the change set with all that it tells."""
        words = sent(self.api, body) | {"Capabilities": ["CAPABILITY_NAMED_IAM"]} | more
        made = self.client.create_change_set(
            StackName=name, ChangeSetName=change_set, ChangeSetType=kind, **words
        )
        return self.client.describe_change_set(ChangeSetName=made["Id"], IncludePropertyValues=True)

    def execute(self, change_set):
        """Execute a change set and wait; what came of the stack."""
        self.client.execute_change_set(ChangeSetName=change_set["ChangeSetId"])
        return self.rest(change_set["StackId"])

    def update(self, body, name, **more):
        """Update a stack and wait; what came of it."""
        words = sent(self.api, body) | {"Capabilities": ["CAPABILITY_NAMED_IAM"]} | more
        self.client.update_stack(StackName=name, **words)
        return self.rest(name)

    def rest(self, name):
        """The stack as soon as nothing is being done with it."""
        found = {}

        def look():
            found.update(self.client.describe_stacks(StackName=name)["Stacks"][0])
            return not found["StackStatus"].endswith("_IN_PROGRESS")

        wait_for(look)
        return found

    def events(self, name):
        """Resource, state and reason of each event, the oldest first."""
        pages = self.client.get_paginator("describe_stack_events").paginate(StackName=name)
        found = [event for page in pages for event in page["StackEvents"]]
        return [
            (each["LogicalResourceId"], each["ResourceStatus"], each.get("ResourceStatusReason", ""))
            for each in reversed(found)
        ]

    def reasons(self, name):
        """Why resources failed."""
        return {
            name: reason for name, status, reason in self.events(name)[::-1] if status.endswith("_FAILED")
        }

    def ids(self, name):
        """Physical ids by logical ones."""
        pages = self.client.get_paginator("list_stack_resources").paginate(StackName=name)
        found = [each for page in pages for each in page["StackResourceSummaries"]]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}


def _serve(state: Path, port: int) -> None:
    """Be the server, in a process of its own."""
    from lab.cloud import server  # not in the tests' own processes

    os.environ["CORRAL_LAB_STATE"] = str(state)
    with (state / "log").open("w") as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())
        server.serve("127.0.0.1", port, pause=0.1)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A lab cloud of the module's own."""
    state, port = tmp_path_factory.mktemp("state"), free_port()
    process = PROCESSES.Process(target=_serve, args=[state, port], daemon=True)
    process.start()
    log = state / "log"
    wait_for(lambda: (log.exists() and "listens" in log.read_text()) or not process.is_alive())
    assert process.is_alive(), log.read_text()
    yield Cloud(port, state)
    process.terminate()
    process.join()
