"""Shared fixtures: a server, or a whole network (living.py), in a folder of the test's own."""

import os
import shutil
import tempfile

import pytest
from living import LQ, ROOT, Network, Process, RawSite, Server, signing_request, site_body

__all__ = ["LQ", "ROOT", "Network", "Process", "RawSite", "Server", "signing_request", "site_body"]


@pytest.fixture
def folder():
    """Short, for unix sockets' paths are."""
    path = tempfile.mkdtemp(prefix="lq-")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_server(folder):
    """make_server(*flags): a server in the test's folder; stopped cleanly afterwards."""
    servers = []

    def make(*flags, name="s", start=True):
        server = Server(os.path.join(folder, name), *flags, start=start)
        servers.append(server)
        return server

    yield make
    for server in servers:
        if server.process is not None and server.process.process.poll() is None:
            server.stop()


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory):
    """One server for the tests of a file that do not disturb each other."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def network(folder):
    """A server without sites; network.site("alpha") adds one."""
    network = Network(folder)
    yield network
    network.stop()
