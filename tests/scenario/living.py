"""A server, or a whole network, run from the real binary. Used by the scenarios' fixtures, and by the
benchmarks of bench/, which have no pytest.

LQ names the binary (./test sets it). Everything is stopped by process id. A process that ends by a
sanitizer's report, or that does not end on SIGTERM, is an AssertionError.
"""

import json
import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.parse
from http.client import HTTPSConnection

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LQ = os.environ.get("LQ", os.path.join(ROOT, "build", "gcc", "src", "cli", "lq"))
READY_S = 60
END_S = 60


class Answer:
    """One answer of the API: status, headers (lower case), body; json() of it."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Client:
    """A person (token), an agent (certificate and key files) or nobody, on one connection."""

    def __init__(self, server, token=None, certificate=None):
        self.server, self.token, self.certificate = server, token, certificate
        self.connection = None

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def connect(self):
        self.close()
        host, port = self.server.address.rsplit(":", 1)
        self.connection = HTTPSConnection(host, int(port), timeout=60, context=self.server.tls(self.certificate))

    def send(self, method, path, body=None, headers=None):
        """Sends and gives the open response, for streams."""
        headers = dict(headers or {})
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        for last in (False, True):
            try:
                if self.connection is None:
                    self.connect()
                self.connection.request(method, path, body=body, headers=headers)
                return self.connection.getresponse()
            except (ConnectionError, ssl.SSLEOFError) as error:
                self.close()  # an idle connection may have been closed meanwhile
                if last:
                    raise error

    def call(self, method, path, body=None, headers=None):
        response = self.send(method, path, body, headers)
        return Answer(response.status, response.getheaders(), response.read())

    def get(self, path, **query):
        if query:
            path += "?" + urllib.parse.urlencode(query)
        return self.call("GET", path)

    def post(self, path, body=None, **headers):
        return self.call("POST", path, {} if body is None else body, headers)

    def put(self, path, body, **headers):
        return self.call("PUT", path, body, headers)

    def delete(self, path, **headers):
        return self.call("DELETE", path, None, headers)


class Process:
    """A program of ours that says when it is ready, and is ended by its id."""

    def __init__(self, argv, log, env=None):
        read_end, write_end = os.pipe()
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                [*argv, "--ready-fd", str(write_end)], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                pass_fds=(write_end,), env={**os.environ, **(env or {})})
        os.close(write_end)
        with os.fdopen(read_end, "r") as pipe:
            os.set_blocking(pipe.fileno(), False)
            self.ready = self._wait_ready(pipe)

    def _wait_ready(self, pipe):
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            line = pipe.readline()
            if line.endswith("\n"):
                return line.split(maxsplit=1)[1].strip()
            if self.process.poll() is not None:
                break
            time.sleep(0.005)
        self.kill()
        raise RuntimeError("it did not start: " + self.text())

    @property
    def pid(self):
        return self.process.pid

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """SIGTERM, a clean end, nothing for a sanitizer to say."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("it did not end on SIGTERM: " + self.text()) from None
        assert code == 0, f"it ended with {code}: {self.text()[-6000:]}"

    def rss_mib(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


class Server:
    """`lq server`; server.admin is a client with the first administrator's token."""

    def __init__(self, folder, *flags, start=True):
        self.folder, self.flags = str(folder), [str(flag) for flag in flags]
        self.state = os.path.join(self.folder, "server")
        self.port = 0
        self.process = None
        if start:
            self.start()

    def start(self):
        os.makedirs(self.folder, exist_ok=True)
        self.process = Process([LQ, "server", "--state", self.state, "--listen", f"127.0.0.1:{self.port}", *self.flags],
                               os.path.join(self.folder, "server.log"))
        self.address = self.process.ready
        self.port = int(self.address.rsplit(":", 1)[1])  # the same again after a restart
        with open(os.path.join(self.state, "admin.token"), encoding="ascii") as file:
            self.admin_token = file.read().strip()
        self.admin = self.client(self.admin_token)

    @property
    def ca(self):
        return os.path.join(self.state, "ca.pem")

    def tls(self, certificate=None):
        context = ssl.create_default_context(cafile=self.ca)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        return context

    def client(self, token=None, certificate=None):
        return Client(self, token, certificate)

    def raw(self, certificate=None):
        """A TLS socket, for requests that no client library would send."""
        host, port = self.address.rsplit(":", 1)
        return self.tls(certificate).wrap_socket(socket.create_connection((host, int(port)), timeout=60),
                                                 server_hostname=host)

    def kill(self):
        self.process.kill()

    def stop(self):
        self.process.stop()

    def restart(self, how="stop"):
        getattr(self, how)()
        self.start()

    # ---- things that most tests need

    def tenant(self, name, parent=None, **more):
        if parent is None:
            parent = next(t["id"] for t in self.admin.get("/v1/tenants").json()["items"] if t["name"] == "root")
        answer = self.admin.post("/v1/tenants", {"name": name, "parent": parent, **more})
        assert answer.status == 201, answer
        return answer.json()["id"]

    def user(self, name, roles, tenant=None, operator=None, **token):
        """A user with a token; a client for it (client.user is the user's id)."""
        body = {"name": name, "roles": list(roles)}
        if tenant is not None:
            body["tenant"] = tenant
        if operator is not None:
            body["operator"] = operator
        answer = self.admin.post("/v1/users", body)
        assert answer.status == 201, answer
        user = answer.json()["id"]
        answer = self.admin.post("/v1/tokens", {"user": user, "label": name, **token})
        assert answer.status == 201, answer
        client = self.client(answer.json()["token"])
        client.user, client.token_id = user, answer.json()["id"]
        return client

    def region(self, name="west", **more):
        answer = self.admin.put(f"/v1/regions/{name}", {"name": name, "jurisdiction": "CN", **more})
        assert answer.status in (200, 201), answer

    def site(self, name="alpha", region="west", operator="op1", cpus=4, **more):
        """A site that is known but has no agent."""
        answer = self.admin.put(f"/v1/sites/{name}", site_body(name, region, operator, cpus, **more))
        assert answer.status in (200, 201), answer
        return answer.json()["id"]


def site_body(name="alpha", region="west", operator="op1", cpus=4, **more):
    return {"name": name, "region": region, "operator": operator, "tier": "centre", "engine": "host",
            "ask_per_cpu_hour": "0.10", "ask_source": "example", "ask_is_example": True,
            "nodes": [{"name": "n0", "cpus": cpus, "memory": "4GiB"}], **more}


def signing_request(folder, name):
    """A fresh key and a request for a certificate of it: (key file, request as PEM)."""
    key, request = os.path.join(folder, name + ".key"), os.path.join(folder, name + ".csr")
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", request, "-subj", f"/CN={name}"], check=True, capture_output=True)
    with open(request, encoding="ascii") as file:
        return key, file.read()


class RawSite:
    """A site whose agent is the test itself: it joins, and says over the API what it likes."""

    def __init__(self, server, folder, name="alpha", region="west", operator="op1", cpus=4):
        self.server, self.folder, self.name = server, str(folder), name
        answer = server.admin.post("/v1/join-tokens", {"site": name, "operator": operator})
        assert answer.status == 201, answer
        self.join_token = answer.json()["token"]
        self.body = site_body(name, region, operator, cpus)
        answer = self.join()
        assert answer.status in (200, 201), answer
        self.id = answer.json()["site"]

    def signing(self):
        """Files of their own each time: clients of before go on with theirs."""
        self.signings = getattr(self, "signings", 0) + 1
        return signing_request(self.folder, f"{self.name}-{self.signings}")

    def join(self, token=None):
        key, request = self.signing()
        secret = (token or self.join_token).split(".")[0]
        answer = self.server.client().post("/v1/agent/join", {"token": secret, "csr": request, "site": self.body})
        if answer.status in (200, 201):
            self.take(key, answer.json())
        return answer

    def take(self, key, reply):
        path = key[:-len(".key")] + ".pem"
        with open(path, "w", encoding="ascii") as file:
            file.write(reply["certificate"])
        self.client = self.server.client(certificate=(path, key))

    def renew(self):
        key, request = self.signing()
        answer = self.client.post("/v1/agent/renew", {"csr": request})
        if answer.status == 200:
            self.take(key, answer.json())
        return answer


class Network:
    """A server and agents on this machine; network.site(name) starts one more."""

    def __init__(self, folder, *flags):
        self.folder = str(folder)
        self.server = Server(os.path.join(self.folder, "s"), *flags)
        self.server.region("west")
        self.agents = {}

    @property
    def admin(self):
        return self.server.admin

    def site(self, name="alpha", region="west", operator="op1", cpus=4, flags=()):
        answer = self.admin.post("/v1/join-tokens", {"site": name, "operator": operator})
        assert answer.status == 201, answer
        state = os.path.join(self.folder, name)
        argv = [LQ, "agent", "--state", state, "--server", self.server.address, "--join", answer.json()["token"],
                "--site", name, "--region", region, "--operator", operator,
                "--node", f"n0:cpus={cpus},mem=2GiB", "--cpu-ask", "0.10", "--example-ask",
                "--ignore-foreign-load", *flags]
        self.agents[name] = Process(argv, os.path.join(self.folder, name + ".log"))
        return self.agents[name]

    def wait(self, condition, seconds=30, what="it"):
        """Until condition() gives something true; that."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        raise AssertionError(f"{what} did not come about in {seconds} s")

    def submit(self, spec):
        answer = self.admin.post("/v1/jobs", spec)
        assert answer.status == 201, answer
        return answer.json()["jobs"][0]["id"]

    def wait_job(self, job, *states, seconds=30):
        def look():
            view = self.admin.get(f"/v1/jobs/{job}").json()
            return view if view["state"] in (states or ("succeeded", "failed", "cancelled")) else None
        return self.wait(look, seconds, f"{job} {states}")

    def stop(self):
        failures = []
        for process in [*self.agents.values(), self.server.process]:
            try:
                process.stop()
            except AssertionError as error:
                failures.append(str(error))
        assert not failures, "\n".join(failures)
