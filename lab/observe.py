"""What a running host shows of itself from outside: how far it has booted, its memory, its console."""

from pathlib import Path

from lab import processes
from lab.hosts import Host


def progress(host: Host) -> str:
    """How far a host has come: "off", "booting", "ssh" (sshd listens), or "ready" (cloud-init is done)."""
    leader = host.leader
    if leader is None:
        return "booting" if host.running else "off"
    if Path(f"/proc/{leader}/root/run/cloud-init/result.json").exists():
        return "ready"
    return "ssh" if listens(leader, 22) else "booting"


def console_tail(host: Host, lines: int = 8) -> list[str]:
    """The last lines of a host's console."""
    try:
        return host.console.read_text(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


def memory(host: Host) -> int:
    """Memory that a host's processes use, in bytes, shared pages by share (Pss)."""
    leader = host.leader
    if leader is None:
        return 0
    namespace = _link(leader)
    return sum(_pss(pid) for pid in processes.all_pids() if _link(pid) == namespace)


def listens(pid: int, port: int) -> bool:
    """Whether a TCP port listens in a process's network namespace, without a packet (proc_net_tcp.txt)."""
    try:
        tables = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6")]
    except (FileNotFoundError, ProcessLookupError):
        return False
    sockets = [line.split() for table in tables for line in table.splitlines()[1:]]
    return any(fields[1].endswith(f":{port:04X}") and fields[3] == "0A" for fields in sockets)


def _pss(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)


def _link(pid: int) -> Path | None:
    """A process's pid namespace."""
    try:
        return Path(f"/proc/{pid}/ns/pid").readlink()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
