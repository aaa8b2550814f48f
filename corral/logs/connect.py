"""The way to an environment's Elasticsearch: authority, password, and an address that answers."""

import os
import socket

from elasticsearch import Elasticsearch

from corral import fleet
from corral.aws import client, explained
from corral.errors import CorralError
from corral.logs.query import SEE
from corral.logs.store import Store, UnreachableError
from corral.releases.bucket import Bucket
from corral.settings import STATE, Settings

PORT = 9200
ACCOUNT = "reader"
# How long to wait for a connection, and for an answer, in seconds.
CONNECT_SECONDS = 5
ANSWER_SECONDS = 30


def store(settings: Settings) -> Store:
    """The environment's Elasticsearch. Raises CorralError that says why it can't be asked from here."""
    authority = _authority(settings)
    password = _password(settings)
    return Store(elasticsearch(settings, _address(settings), PORT, authority, password), settings.reference)


def elasticsearch(
    settings: Settings, address: str, port: int, authority: str, password: str
) -> Elasticsearch:
    """Its client. `authority`: path of the certificate that must have signed the one of the server."""
    return Elasticsearch(
        [{"scheme": "https", "host": address, "port": port}],
        ca_certs=authority,
        ssl_assert_hostname=settings.host_name("elk"),
        basic_auth=(ACCOUNT, password),
        request_timeout=ANSWER_SECONDS,
        max_retries=1,
    )


def _authority(settings: Settings) -> str:
    """The certificate of the environment's authority, kept where the client finds it by its path."""
    bucket = Bucket(client(settings, "s3"), settings.releases_bucket, settings.environment)
    with explained(settings):
        found = bucket.read(f"environments/{settings.environment}/ca.pem")
    if found is None:
        raise CorralError(
            f"Environment {settings.environment} has no authority for certificates yet.",
            f"Its log server publishes it when it runs: corral status -e {settings.reference}",
            SEE,
        )
    file = STATE / "authorities" / f"{settings.stack_name}.pem"
    # Another command may do the same at this moment.
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(found[0])
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise CorralError(
            f"The authority's certificate can't be kept in {file.parent}: {error}",
            "Let that folder be yours.",
            SEE,
        ) from error
    return str(file)


def _password(settings: Settings) -> str:
    name = settings.parameter("elk", f"{ACCOUNT}-password")
    ssm = client(settings, "ssm")
    with explained(settings):
        try:
            answer = ssm.get_parameter(Name=name, WithDecryption=True)
        except ssm.exceptions.ParameterNotFound:
            problem = f"There is no secret {name}."
            remedy = f"Make it: corral stack apply -e {settings.reference}"
            raise CorralError(problem, remedy, SEE) from None
    return str(answer["Parameter"]["Value"])


def _address(settings: Settings) -> str:
    """Where the log server answers: by its private name, or by the address that EC2 has for it."""
    name = settings.host_name("elk")
    try:
        address = str(socket.getaddrinfo(name, PORT, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
    except OSError:
        address = _of_fleet(settings)
    try:
        socket.create_connection((address, PORT), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise UnreachableError(
            f"{name} ({address}) does not answer at port {PORT}: {error}",
            "From outside of the fleet it answers the networks of elk.client_cidrs alone; the release server"
            f" can always ask it. Is it well? corral status -e {settings.reference}",
            SEE,
        ) from error
    return address


def _of_fleet(settings: Settings) -> str:
    found = [host.private_address for host in fleet.hosts(settings) if host.role == "elk"]
    if not found:
        problem = f"Environment {settings.environment} has no log server in service."
        raise CorralError(problem, f"See: corral status -e {settings.reference}", SEE)
    return found[0]
