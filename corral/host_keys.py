"""The SSH host keys of the fleet: those that hosts reported, kept by instance, for they never change."""

import re
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from corral import reports
from corral.aws import client, explained
from corral.fleet import Host
from corral.releases.bucket import Bucket
from corral.reports import Received
from corral.settings import STATE, Settings
from corral.ssh import Trust

# Nobody else writes here, so a key in it came from a report. Reports give again what is lost of it.
KEPT = STATE / "host_keys"
# One that is in standby today may be back tomorrow.
FORGET_AFTER_SECONDS = 30 * 86400
# The types of Debian's OpenSSH (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"), as a line of known_hosts has them.
KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]{40,3000}={0,2}")


def trusts(settings: Settings, hosts: Iterable[Host]) -> dict[str, Trust]:
    """What makes SSH's transport to each host, by instance id.

    Reports are read of those hosts only whose keys are not kept yet. Raises CorralError.
    """
    wanted = {host.instance_id: host for host in hosts}
    place = KEPT / settings.environment
    kept = {path.name for path in place.iterdir()} if place.is_dir() else set()
    _forget(place, kept - wanted.keys())
    new = sorted(wanted.keys() - kept)
    received = _received(settings, new) if new else {}
    return {name: _trust(host, place / name, received.get(name)) for name, host in wanted.items()}


def lines(address: str, received: Received | None) -> list[str]:
    """Lines of known_hosts for the host at `address` from its report; none when it gives no key (pure)."""
    keys = received.report.host_keys if received and received.report else ()
    return [f"{address} {key}" for key in keys if KEY.fullmatch(key)]


def _received(settings: Settings, instance_ids: list[str]) -> dict[str, Received]:
    with explained(settings):
        bucket = Bucket(client(settings, "s3"), settings.releases_bucket, settings.environment)
        return reports.read(bucket, reports.only(reports.listed(bucket), instance_ids))


def _trust(host: Host, file: Path, received: Received | None) -> Trust:
    name = f"{host.private_address} ({host.instance_id})"
    if received is not None and (known := lines(host.private_address, received)):
        _keep(file, "".join(f"{line}\n" for line in known))
    elif not file.exists():
        return Trust(name, None, _why_not(received))
    return Trust(name, file)


def _why_not(received: Received | None) -> str:
    if received is None:
        return (
            "it has not reported its SSH keys yet. A host does after its first converge, some minutes after"
            " its launch: wait, or see docs/when-a-node-fails.md."
        )
    fault = received.fault or "its report names no SSH key of a known type."
    return f"{fault} Look at it with `corral status`, or terminate it; see docs/when-a-node-fails.md."


def _keep(file: Path, text: str) -> None:
    """Whole or not at all: other runs read and write it at the same time."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".", delete=False) as beside:
        beside.write(text)
    Path(beside.name).replace(file)


def _forget(place: Path, names: Iterable[str]) -> None:
    """Remove old keys of instances that are in service no more."""
    for file in (place / name for name in names):
        with suppress(FileNotFoundError):  # another run was first
            if file.stat().st_mtime < time.time() - FORGET_AFTER_SECONDS:
                file.unlink()
