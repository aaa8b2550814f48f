"""What tests with real processes share: an AWS API of moto on a free port, and an environment in it."""

import logging

import pytest

from corral.settings import load
from corral.settings.sections import Aws, Image
from tests.shared import machine

machine.forget()


@pytest.fixture(scope="session")
def moto_server():
    """The address of moto's server, which answers as AWS would, in a thread of this process."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def aws_api(moto_server):
    """The same, with nothing in it yet."""
    import requests

    requests.post(f"{moto_server}/moto-api/reset", timeout=30).raise_for_status()
    return moto_server


@pytest.fixture
def settings(aws_api):
    """Environment test in moto's account and at its address, with what it refers to: image, key, certificate.

    moto lets nobody write public parameters. Its CloudFormation is not for us: see lab_cloud.py.
    """
    from corral.aws import client

    there = load("test").model_copy(
        update={
            "account": "123456789012",
            "hosted_zone_id": None,
            "create_zone": True,
            "termination_protection": False,
            "image": Image(parameter="/images/debian"),
            "aws": Aws(endpoint_url=aws_api, access_key_id="test", secret_access_key="test"),
        }
    )
    ec2 = client(there, "ec2")
    image = ec2.register_image(Name="debian")["ImageId"]
    client(there, "ssm").put_parameter(Name="/images/debian", Value=image, Type="String")
    ec2.create_key_pair(KeyName=there.ssh.key_name)
    made = client(there, "acm").request_certificate(DomainName=there.domain)
    return there.model_copy(update={"certificate_arn": made["CertificateArn"]})
