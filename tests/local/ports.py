"""Ports of this machine for the servers that tests start."""

import os
import secrets
import socket

# Each worker of pytest-xdist gives ports of its own part of these.
_FIRST, _PART = 10_000, 1_000
_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses and no test of this run was given, for TCP and UDP.

    From below those that the kernel gives to whoever asks for any (net.ipv4.ip_local_port_range): of those,
    another test's connection might get this one before the server has started.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 20
    for _ in range(100_000):
        # A release is tried on the port after its own.
        port = _FIRST + worker * _PART + secrets.randbelow(_PART - 1)
        if {port - 1, port, port + 1} & _given:
            continue
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(type=kind) as tried:
                    tried.bind(("127.0.0.1", port))
        except OSError:
            continue
        _given.add(port)
        return port
    raise AssertionError("all ports of this worker's part were given")
