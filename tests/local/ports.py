"""Ports of this machine for the servers that tests start."""

import secrets
import socket


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses, for TCP and UDP.

    From below those that the kernel gives to whoever asks for any (net.ipv4.ip_local_port_range): of those,
    another test's connection might get this one before the server has started.
    """
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as tried:
                    tried.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
