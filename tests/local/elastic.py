"""What the tests of Elastic's stand-ins share: certificates, a receiver of Lumberjack, the programs."""

import contextlib
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab.elastic import lumberjack

ROOT = Path(__file__).resolve().parents[2]


class Authority:
    """A certificate authority in a folder: `ca` (its certificate), and pairs of certificate and key."""

    def __init__(self, folder, name="logs"):
        self.folder = folder
        folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.ca = self._write("ca.crt", self._sign(self._name, self._key, True))

    def pair(self, name):
        """Paths of a certificate for `name` and 127.0.0.1, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        form = serialization.PrivateFormat.PKCS8
        pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        (self.folder / f"{name}.key").write_bytes(pem)
        return self._write(f"{name}.crt", self._sign(subject, key, False)), self.folder / f"{name}.key"

    def _sign(self, subject, key, authority):
        now = datetime.now(UTC)
        own = subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        names = [x509.DNSName(own), x509.DNSName("localhost")]
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, name, certificate):
        path = self.folder / name
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path


class Receiver:
    """Takes Lumberjack, by mutual TLS when it gets an authority. `answers`: whether it acknowledges."""

    def __init__(self, port, authority=None):
        self.events = []
        self.answers = True
        self._tls = None
        if authority:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*authority.pair("logstash"))
            self._tls.load_verify_locations(authority.ca)
            self._tls.verify_mode = ssl.CERT_REQUIRED
        self._connections = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        # Closed while it still waits, it might wait on whatever gets the file's number next.
        self._accepting.join()
        self._listener.close()
        for each in self._connections:
            # A stream on it may be read from: close() alone would wait for that.
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._connections.append(connection)
            stream = connection.makefile("rb")
            while window := lumberjack.read_window(stream):
                self.events += window.events
                if self.answers:
                    connection.sendall(lumberjack.acknowledgement(window.version, window.last))
        except (OSError, EOFError, ValueError):
            connection.close()


class Program:
    """A stand-in, started as its package starts it; killed at the end of a `with`."""

    def __init__(self, module, *arguments, log, **environment):
        self._command = [sys.executable, "-m", module, *map(str, arguments)]
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        self._log = log

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self):
        with self._log.open("a") as log:
            self.process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)

    def kill(self):
        """As kill -9 does."""
        self.process.kill()
        self.process.wait()

    def log(self):
        return self._log.read_text()


def run(module, *arguments, **environment):
    """A command of a stand-in, to its end: exit code, and all it said."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def until(true, what, seconds=60):
    """Wait until `true()` is; what it gave."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"not after {seconds} s: {what() if callable(what) else what}"
        time.sleep(0.05)
    return found


class Filebeat:
    """A Filebeat of one's own below `folder`, quick, with one input that reads `logs/*.log*`."""

    module = "lab.elastic.filebeat"

    def __init__(self, folder, port, authority=None, **more):
        self.folder = folder
        self.logs = folder / "logs"
        for each in ("logs", "etc", "etc/inputs.d"):
            (folder / each).mkdir(parents=True, exist_ok=True)
        output = {"hosts": [f"127.0.0.1:{port}"], "backoff.init": "100ms", "backoff.max": "300ms"}
        if authority:
            certificate, key = authority.pair("app-1")
            output["ssl"] = {
                "certificate_authorities": [str(authority.ca)],
                "certificate": str(certificate),
                "key": str(key),
            }
        self.main = {
            "name": "app-1",
            "filebeat.config.inputs": {"enabled": True, "path": "inputs.d/*.yml"},
            "queue.mem.flush.timeout": "200ms",
            "output.logstash": output,
        }
        self.input = {
            "type": "filestream",
            "id": "app",
            "paths": [f"{self.logs}/*.log*"],
            "prospector.scanner": {
                "check_interval": "200ms",
                "fingerprint": {"enabled": True, "length": 64},
            },
            "file_identity.fingerprint": None,
            "backoff": {"init": "100ms", "max": "200ms"},
            "parsers": [
                {"ndjson": {"target": "", "overwrite_keys": True, "expand_keys": True, "add_error_key": True}}
            ],
            **more,
        }
        self.write()
        paths = [f"--path.{name}={folder / there}" for name, there in (("config", "etc"), ("data", "data"))]
        self.arguments = [*paths, "-c", "filebeat.yml"]

    def write(self):
        (self.folder / "etc/filebeat.yml").write_text(json.dumps(self.main))
        (self.folder / "etc/inputs.d/app.yml").write_text(json.dumps([self.input]))

    def program(self):
        return Program(self.module, *self.arguments, "-e", log=self.folder / "filebeat.out")

    def run(self, *command):
        return run(self.module, *command, *self.arguments)


def line(number, **more):
    """A numbered JSON line, longer than the shortest fingerprint."""
    fields = {"@timestamp": stamp(number), "message": f"line {number}", "log.level": "info", "number": number}
    return json.dumps(fields | more) + "\n"


def stamp(number):
    """A moment for each number, a millisecond apart."""
    moment = datetime(2026, 11, 26, tzinfo=UTC) + timedelta(milliseconds=number)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
