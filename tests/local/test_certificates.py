"""An environment's certificates: what signs and what asks, as on hosts, and an AWS that checks signatures."""

import os
import shutil
import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from corral import authority
from corral.settings import load
from tests.local.elastic import until
from tests.local.fake_aws import FakeAws

ROOT = Path(__file__).resolve().parents[2]
LAB = load("lab")
ELK, APP = "i-0e1c", "i-0a22"
NAME = "elk.lab.internal"
PREFIX = "bucket/certificates/lab"


class Environment:
    """The scripts in one folder, a host's folders each, and what they ask."""

    def __init__(self, folder):
        self.folder = folder
        self.api = FakeAws()
        self.bin = folder / "bin"
        self.bin.mkdir()
        for source in ("host/aws", "certificates/certificate", "authority/sign"):
            shutil.copy(ROOT / "files" / source, self.bin)
        # systemctl writes down what it is told.
        (self.bin / "systemctl").write_text(f'#!/bin/sh\necho "$@" >>{folder}/told\n')
        (self.bin / "systemctl").chmod(0o755)
        self.running = []
        self.new_authority()

    def new_authority(self):
        (self.folder / "ca-key").write_text(authority.make(LAB))

    def _start(self, instance, script, *arguments):
        log = self.folder / f"{instance}-{script}.log"
        with log.open("a") as file:
            self.running.append(
                subprocess.Popen(
                    [self.bin / script, *arguments],
                    stdout=file,
                    stderr=file,
                    env={
                        "PATH": f"{self.bin}:{os.environ['PATH']}",
                        "AWS_ENDPOINT_URL": self.api.url,
                        "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.api.url,
                        "CORRAL_CERTIFICATES": str(self.host(instance)),
                        "CORRAL_AUTHORITY": str(self.host(instance) / "ca.pem"),
                        "CORRAL_CERTIFICATE_PAUSE": "1",
                        "CORRAL_SIGN_PAUSE": "0.2",
                    },
                )
            )
        return self.running[-1]

    def host(self, instance):
        folder = self.folder / instance
        folder.mkdir(exist_ok=True)
        return folder

    def sign(self):
        return self._start(ELK, "sign", "bucket", "lab", ELK, NAME, str(self.folder / "ca-key"))

    def ask(self, instance, *units):
        self.api.userid = f"AROAEXAMPLE:{instance}"
        return self._start(instance, "certificate", "bucket", "lab", instance, *units)

    def certificate(self, instance):
        return x509.load_pem_x509_certificate((self.host(instance) / "host.pem").read_bytes())

    def log(self, instance, script):
        return (self.folder / f"{instance}-{script}.log").read_text()

    def told(self):
        file = self.folder / "told"
        return file.read_text().splitlines() if file.exists() else []

    def stop(self):
        for process in self.running:
            process.kill()
            process.wait()
        self.api.shutdown()


@pytest.fixture
def environment(tmp_path):
    made = Environment(tmp_path)
    yield made
    made.stop()


def names(certificate):
    subject = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    return subject, [str(each.value) for each in alternative], set(uses)


def test_hosts_get_certificates_by_which_they_trust_each_other(environment):
    asks = environment.ask(APP, "filebeat.service")
    until(lambda: f"{PREFIX}/requests/AROAEXAMPLE:{APP}.csr" in environment.api.objects, asks.poll)
    assert asks.poll() is None, "it waits for the log server"
    environment.sign()
    assert asks.wait(120) == 0
    assert environment.ask(ELK, "logstash.service", "nginx.service").wait(120) == 0
    assert environment.told() == [
        "--no-block reload-or-restart -- filebeat.service",
        "--no-block reload-or-restart -- logstash.service",
        "--no-block reload-or-restart -- nginx.service",
    ]
    client, server = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
    assert names(environment.certificate(APP)) == (APP, [APP], {client})
    assert names(environment.certificate(ELK)) == (
        ELK,
        [ELK, NAME, "localhost", "127.0.0.1"],
        {client, server},
    )
    for kept, mode in (("host.key", 0o600), ("host.pem", 0o644), ("ca.pem", 0o644)):
        assert (environment.host(APP) / kept).stat().st_mode & 0o777 == mode
    assert "PRIVATE KEY" not in b"".join(environment.api.objects.values()).decode()
    assert handshake(environment.host(APP), environment.host(ELK)) == {"subject": ((("commonName", APP),),)}
    # Another environment's host is refused; so is one that shows nothing.
    strangers = environment.folder / "strangers"
    strangers.mkdir()
    other = Environment(strangers)
    other.sign()
    assert other.ask(APP).wait(120) == 0
    shutil.copy(environment.host(ELK) / "ca.pem", other.host(APP) / "ca.pem")
    with pytest.raises(ssl.SSLError):
        handshake(other.host(APP), environment.host(ELK))
    other.stop()


def handshake(client, server):
    """Whom the server sees; both verify each other, by name and as strictly as Python's ssl does."""
    here, there = socket.socketpair()
    accepts = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=server / "ca.pem")
    accepts.load_cert_chain(server / "host.pem", server / "host.key")
    accepts.verify_mode = ssl.CERT_REQUIRED
    asks = ssl.create_default_context(cafile=client / "ca.pem")
    asks.load_cert_chain(client / "host.pem", client / "host.key")
    accepts.verify_flags |= ssl.VERIFY_X509_STRICT
    asks.verify_flags |= ssl.VERIFY_X509_STRICT

    def connect():
        try:
            with asks.wrap_socket(here, server_hostname=NAME) as stream:
                stream.recv(1)
        except OSError:
            here.close()

    threading.Thread(target=connect, daemon=True).start()
    with there, accepts.wrap_socket(there, server_side=True) as stream:
        return {"subject": stream.getpeercert()["subject"]}


def test_whatever_a_request_asks_for_it_gets_its_own_name_and_no_authority(environment):
    environment.sign()
    key, request = environment.folder / "key", environment.folder / "request"
    greedy = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    greedy += ["-addext", "basicConstraints=critical,CA:TRUE"]
    command = ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request]
    subprocess.run([*command, *greedy], check=True, capture_output=True)
    put(environment, "requests/AROAEXAMPLE:i-0bad.csr", request.read_bytes())
    issued = f"{PREFIX}/issued/AROAEXAMPLE:i-0bad.pem"
    until(lambda: issued in environment.api.objects, lambda: environment.log(ELK, "sign"))
    got = x509.load_pem_x509_certificate(environment.api.objects[issued])
    assert names(got) == ("i-0bad", ["i-0bad"], {ExtendedKeyUsageOID.CLIENT_AUTH})
    assert not got.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize(
    ("who", "content"),
    [("AROAEXAMPLE:i-0bad", b"no request"), ("AROAEXAMPLE:i-0bad", b"x" * 20_000), ("AROAEXAMPLE:bob", b"?")],
)
def test_what_is_no_request_is_said_once_and_the_others_are_signed(environment, who, content):
    environment.sign()
    put(environment, f"requests/{who}.csr", content)
    said = f"the request of {who}"
    until(lambda: said in environment.log(ELK, "sign"), lambda: environment.log(ELK, "sign"))
    assert environment.ask(APP).wait(120) == 0
    assert environment.log(ELK, "sign").count(said) == 1
    assert f"{PREFIX}/issued/{who}.pem" not in environment.api.objects


def put(environment, name, content):
    environment.api.objects[f"{PREFIX}/{name}"] = content
    environment.api.times[f"{PREFIX}/{name}"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def test_a_certificate_stays_until_a_third_of_its_life_is_left(environment):
    environment.sign()
    environment.ask(APP, "filebeat.service").wait(120)
    first = environment.certificate(APP)
    life = first.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=89) < life <= timedelta(days=90)
    asked = len(environment.api.requests)
    assert environment.ask(APP, "filebeat.service").wait(120) == 0
    assert environment.certificate(APP) == first
    assert len(environment.told()) == 1, "nothing new, nobody told"
    puts = [path for command, path in environment.api.requests[asked:] if command == "PUT"]
    assert [path for path in puts if "/requests/" in path] == []
    # As it will be in 60 days.
    shortened = environment.host(APP) / "host.pem"
    by = environment.folder / "ca-key"
    sign = ["openssl", "x509", "-req", "-in", "-", "-days", "30", "-CA", by, "-CAkey", by, "-set_serial", "7"]
    old = subprocess.run(sign, input=request_of(environment), capture_output=True, check=True).stdout
    shortened.write_bytes(old)
    assert environment.ask(APP, "filebeat.service").wait(120) == 0
    second = environment.certificate(APP)
    assert second.serial_number not in (7, first.serial_number)
    assert second.public_key() != first.public_key()
    assert len(environment.told()) == 2


def request_of(environment):
    key = environment.host(APP) / "host.key"
    command = ["openssl", "req", "-new", "-key", key, "-subj", f"/CN={APP}"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_another_authority_is_taken_up_and_a_pair_that_does_not_match_is_replaced(environment):
    signing = environment.sign()
    environment.ask(APP, "filebeat.service").wait(120)
    first = environment.certificate(APP)
    signing.terminate()
    assert signing.wait(120) == 0
    environment.new_authority()
    environment.sign()
    until(lambda: environment.log(ELK, "sign") and published(environment), "the authority was not published")
    assert environment.ask(APP, "filebeat.service").wait(120) == 0
    second = environment.certificate(APP)
    assert second.issuer == first.issuer
    second.verify_directly_issued_by(
        x509.load_pem_x509_certificate((environment.host(APP) / "ca.pem").read_bytes())
    )
    shutil.copy(environment.folder / "ca-key", environment.host(APP) / "host.key")
    assert not is_pair(environment)
    assert environment.ask(APP, "filebeat.service").wait(120) == 0
    assert is_pair(environment)


def published(environment):
    text = (environment.folder / "ca-key").read_text()
    return environment.api.objects["bucket/environments/lab/ca.pem"].decode() in text


def is_pair(environment):
    key = ["openssl", "pkey", "-in", environment.host(APP) / "host.key", "-pubout"]
    certificate = ["openssl", "x509", "-in", environment.host(APP) / "host.pem", "-noout", "-pubkey"]
    one, two = (subprocess.run(each, capture_output=True, check=True).stdout for each in (key, certificate))
    return one == two
