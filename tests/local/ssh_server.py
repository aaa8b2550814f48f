"""An SSH server on a free port of this machine, for tests that log in: it runs what it is told."""

import socket
import subprocess
import threading

import paramiko


class SshServer:
    """Accepts `user`'s key, and shows host key `key`. `commands`: what it was told to run."""

    def __init__(self, key: paramiko.PKey, user: paramiko.PKey, address: str = "127.0.0.1"):
        self.key, self.user, self.commands = key, user, []
        self.logins = 0
        self.listener = socket.create_server((address, 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(self.key)
            transport.start_server(event=threading.Event(), server=_Session(self))

    def close(self):
        # Nobody may wait in accept() any more: Linux begins that call anew after a signal or a freeze, by the
        # number of a file that is somebody else's by then. moto's server once answered "SSH-2.0-paramiko".
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.listener.close()


class _Session(paramiko.ServerInterface):
    def __init__(self, server):
        self.server = server

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        self.server.logins += 1
        return paramiko.AUTH_SUCCESSFUL if key == self.server.user else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        self.server.commands.append(command.decode())
        threading.Thread(target=self._run, args=[channel, command], daemon=True).start()
        return True

    def _run(self, channel, command):
        done = subprocess.run(["sh", "-c", command], capture_output=True, stdin=subprocess.DEVNULL)
        channel.sendall(done.stdout)
        channel.sendall_stderr(done.stderr)
        channel.send_exit_status(done.returncode)
        channel.close()
