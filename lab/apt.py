"""Debian packages for the lab: where this machine gets them, and a cache of them for all hosts."""

import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from corral.errors import CorralError
from lab.commands import run
from lab.paths import APT_CACHE, MACHINE

SUITE = "trixie"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_USER = "apt-cacher-ng"


@dataclass(frozen=True)
class Mirror:
    """URIs of Debian's archive and of its security archive, as this machine reaches them."""

    archive: str
    security: str | None

    @property
    def uris(self) -> list[str]:
        """Both, without the one that is missing."""
        return [uri for uri in (self.archive, self.security) if uri]


def machine_mirror() -> Mirror:
    """The mirror of this machine's own apt sources; raises CorralError when there is none for Debian."""
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', Path("/etc/os-release").read_text(), re.M))
    codename = release.get("VERSION_CODENAME", "")
    lists = Path("/etc/apt")
    files = [lists / "sources.list", *sorted((lists / "sources.list.d").glob("*"))]
    found = mirror([(path.name, path.read_text()) for path in files if path.is_file()], codename)
    if found is None:
        raise CorralError(
            f"This machine's apt sources name no Debian archive for {codename or 'its release'}.",
            "The lab takes Debian's packages from where this machine does: run it on Debian 12 or later.",
            "docs/lab.md",
        )
    return found


def mirror(sources: Iterable[tuple[str, str]], codename: str) -> Mirror | None:
    """Find Debian's mirror in apt's source files (pure).

    `sources`: name and text of each file, in both formats of sources.list(5). `codename`: the machine's
    release.
    """
    archive = security = None
    for name, text in sources:
        entries = _deb822(text) if name.endswith(".sources") else _one_line(text)
        for uri, suite, components in entries:
            if "main" not in components or not uri.startswith(("http://", "https://")):
                continue
            if suite == codename:
                archive = archive or uri.rstrip("/")
            elif suite == f"{codename}-security":
                security = security or uri.rstrip("/")
    return Mirror(archive, security) if archive else None


def host_sources(mirror: Mirror) -> str:
    """apt sources of the lab's hosts (deb822); for a mirror by https, the cache alone speaks https."""
    entries = [(mirror.archive, f"{SUITE} {SUITE}-updates")]
    if mirror.security:
        entries.append((mirror.security, f"{SUITE}-security"))
    return "\n".join(
        f"Types: deb\nURIs: {_as_http(uri)}\nSuites: {suites}\nComponents: main\nSigned-By: {_KEYRING}\n"
        for uri, suites in entries
    )


def machine_options() -> list[str]:
    """apt options of this machine that its mirror needs, such as for one that is frozen in time."""
    names = ("Acquire::Check-Valid-Until", "Acquire::Check-Date")
    lines = run("apt-config", "dump").splitlines()
    return [line for line in lines if line.split(" ")[0] in names and not line.endswith('"";')]


def cache_configuration(mirror: Mirror, proxy: str | None, logs: str) -> str:
    """apt-cacher-ng's configuration (pure).

    Only the mirror's own URIs are served (ForceManaged), so the cache is no way out of the lab. No more Remap
    lines: Debian's default ones try mirrors that this machine may not reach.
    `proxy`: the proxy by which this machine's apt reaches its mirror. `logs`: see `logs_line`.
    """
    lines = [
        f"CacheDir: {APT_CACHE / 'packages'}",
        f"LogDir: {APT_CACHE / 'log'}",
        f"SocketPath: {APT_CACHE / 'socket'}",
        "SupportDir: /usr/lib/apt-cacher-ng",
        f"BindAddress: {MACHINE}",
        "Port: 80",
        "ForeGround: 1",
        "ReportPage: acng-report.html",
        "ExThreshold: 30",
        "ForceManaged: 1",
        "PassThroughPattern: ^$",
        *(f"Remap-corral{number}: {_as_http(uri)} ; {uri}" for number, uri in enumerate(mirror.uris)),
        logs,
        *([f"Proxy: {proxy}"] if proxy else []),
    ]
    return "\n".join(lines) + "\n"


def logs_line(host: str, root: str) -> str:
    """The cache's line about Elastic's `host`: passed on, or, with a `root`, served from that folder."""
    return f"LocalDirs: {host} {root}" if root else f"Remap-elastic: http://{host} ; https://{host}"


def prepare_cache(mirror: Mirror, logs: str) -> list[str]:
    """Write the cache's configuration and make its directories; the command that runs it, as its own user.

    `logs`: see `logs_line`.
    """
    directory = APT_CACHE / "etc"
    for path in (APT_CACHE, directory, APT_CACHE / "packages", APT_CACHE / "log"):
        path.mkdir(parents=True, exist_ok=True)
        shutil.chown(path, _USER, _USER)
    (directory / "acng.conf").write_text(cache_configuration(mirror, _machine_proxy(), logs))
    bind = "+net_bind_service"
    become = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups", "--no-new-privs"]
    return [*become, f"--inh-caps={bind}", f"--ambient-caps={bind}", "apt-cacher-ng", "-c", str(directory)]


def _machine_proxy() -> str | None:
    match = re.search(r'^Acquire::http::Proxy "(http[^"]+)";', run("apt-config", "dump"), re.M)
    return match.group(1) if match else None


def _as_http(uri: str) -> str:
    return "http://" + uri.partition("://")[2]


def _one_line(text: str) -> Iterator[tuple[str, str, list[str]]]:
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*\]", " ", line.partition("#")[0]).split()
        if len(words) >= 4 and words[0] == "deb":
            yield words[1], words[2], words[3:]


def _deb822(text: str) -> Iterator[tuple[str, str, list[str]]]:
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for paragraph in re.split(r"\n\s*\n", kept):
        unfolded = re.sub(r"\n[ \t]+", " ", paragraph)
        fields = {key.lower(): value.split() for key, value in re.findall(r"^([\w-]+):(.*)$", unfolded, re.M)}
        if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
            continue
        for uri in fields.get("uris", []):
            for suite in fields.get("suites", []):
                yield uri, suite, fields.get("components", [])
