"""SSH: small packets leave at once, and host keys belong to an instance, not to an address."""

import socket
from pathlib import Path

from corral import ssh


def test_a_transport_waits_for_no_full_packet():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as end,
    ):
        transport = ssh.transport_without_delay(end)
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        transport.close()


def test_each_instance_has_a_file_of_its_own_that_only_the_operator_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(ssh, "KNOWN_HOSTS", tmp_path / "known_hosts")
    first, again, other = (Path(ssh.known_hosts_file(name)) for name in ("i-1", "i-1", "i-2"))
    assert first == again != other
    assert first.stat().st_mode & 0o777 == 0o600
    first.write_text("a key")
    assert Path(ssh.known_hosts_file("i-1")).read_text() == "a key"
