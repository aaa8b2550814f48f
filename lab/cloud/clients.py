"""boto3 clients of the lab's own API, for its parts that use it as any customer would."""

import threading
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

# The server listens here; set when it starts.
_endpoint = ""
# boto3's default session is not made for threads (boto3 docs, "Multithreading").
_lock = threading.Lock()


def listen_at(endpoint: str) -> None:
    """Say where the server is, such as "http://127.0.0.1:4566"."""
    global _endpoint
    _endpoint = endpoint


@cache
def _made(service: str, region: str, endpoint: str) -> Any:
    client = boto3.client(
        service,
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id="cloudformation",
        aws_secret_access_key="worth-nothing",
        config=Config(retries={"max_attempts": 1}, max_pool_connections=4),
    )
    client.meta.events.register("provide-client-params.*.*", _put_right)
    return client


def client(service: str, region: str) -> Any:
    """A client that takes numbers and truths as words too, as CloudFormation's templates write them."""
    with _lock:
        return _made(service, region, _endpoint)


def _put_right(params: dict[str, Any], model: Any, **_: Any) -> dict[str, Any]:
    fitted: dict[str, Any] = _fit(params, model.input_shape)
    return fitted


def _fit(value: Any, shape: Any) -> Any:
    if shape is None:
        return value
    if shape.type_name == "structure" and isinstance(value, dict):
        return {key: _fit(each, shape.members.get(key)) for key, each in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_fit(each, shape.member) for each in value]
    if shape.type_name in {"integer", "long"} and isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    if shape.type_name in {"double", "float"} and isinstance(value, str):
        return float(value)
    if shape.type_name == "boolean" and str(value).lower() in {"true", "false"}:
        return str(value).lower() == "true"
    if shape.type_name == "string" and isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value
