"""Python imports this by itself where its directory is on the path: no socket connects but to this machine's files."""

import socket

_connect = socket.socket.connect


def _refuse(self, address):
    if self.family != socket.AF_UNIX:
        raise OSError(f"a connection to {address} where there is no network")
    return _connect(self, address)


socket.socket.connect = socket.socket.connect_ex = _refuse
