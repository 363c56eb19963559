"""The server's socket and its address."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from elman.serve.http import server


def test_every_address_is_said_as_one_that_another_machine_opens() -> None:
    with server.listen("0.0.0.0", 0) as listening:
        listening.listen()
        address = urlsplit(server.address_of(listening))
        assert address.port == listening.getsockname()[1]
        assert address.hostname not in (None, "0.0.0.0")
        with socket.create_connection((address.hostname, address.port), timeout=5):
            pass


def test_without_a_network_it_is_the_machines_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreachable(socket.socket):
        def connect(self, address: object) -> None:
            raise OSError("Network is unreachable")

    with server.listen("0.0.0.0", 0) as listening:
        monkeypatch.setattr(socket, "socket", Unreachable)
        assert urlsplit(server.address_of(listening)).hostname == socket.gethostname().lower()


def test_one_address_is_itself() -> None:
    with server.listen("127.0.0.1", 0) as listening:
        assert server.address_of(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}/"
