"""Every route as every role, as another tenant and as another operator.

What is expected comes from the role table of src/model/access.c and from the permission and
ownership that the API's description gives for the route (which a unit test holds against the
server's own table). A request that passes may be refused for what it says (400, 409, 422 ...), but
never as 401 or 403, and never as 404 for a subject that is there.
"""

import json
import os
import re

import pytest

from conftest import ROOT, RawSite, Server, site_body

JOB = {"name": "one", "run": "true", "resources": {"cpus": 1}}


def role_table():
    """{role: {permission: reach}} as the program has it."""
    with open(os.path.join(ROOT, "src/model/words.c"), encoding="utf-8") as file:
        words = dict(re.findall(r'\[(PERM_\w+)\] = "([\w.]+)"', file.read()))
    with open(os.path.join(ROOT, "src/model/access.c"), encoding="utf-8") as file:
        text = file.read()
    table = {}
    for role, body in re.findall(r"static const struct grant (\w+)\[\] = \{(.*?)\n\};", text, re.S):
        table[role.lower()] = {words[p]: reach.lower() for p, reach in re.findall(r"\{(PERM_\w+), REACH_(\w+)\}", body)}
    assert set(table) == {"admin", "operator", "member", "viewer", "auditor", "agent"}
    assert len(table["admin"]) > 20
    return table


TABLE = role_table()
with open(os.path.join(ROOT, "docs/api/openapi.json"), encoding="utf-8") as description:
    OPERATIONS = [(method.upper(), path, operation) for path, methods in json.load(description)["paths"].items()
                  for method, operation in methods.items()]
NAMES = [f"{method} {path}" for method, path, _ in OPERATIONS]


class World:
    """Two tenants, two operators, a user of every role in the first ones, and things of each."""

    def __init__(self, folder):
        self.server = Server(folder)
        server, admin = self.server, self.server.admin
        server.region()
        server.region("east")
        self.tenants = {name: server.tenant(name) for name in ("ours", "theirs")}
        self.people = {
            "admin": server.user("an-admin", ["admin"]),
            "operator": server.user("an-operator", ["operator"], operator="op1"),
            "member": server.user("a-member", ["member"], self.tenants["ours"]),
            "viewer": server.user("a-viewer", ["viewer"], self.tenants["ours"]),
            "auditor": server.user("an-auditor", ["auditor"]),
        }
        self.strangers = {
            "operator": server.user("b-operator", ["operator"], operator="op2"),
            "member": server.user("b-member", ["member"], self.tenants["theirs"]),
            "viewer": server.user("b-viewer", ["viewer"], self.tenants["theirs"]),
        }
        self.site = RawSite(server, folder, "alpha")
        self.job = admin.post("/v1/jobs?tenant=ours", JOB).json()["jobs"][0]["id"]
        answer = admin.post("/v1/artifacts?tenant=ours", {"kind": "workdir", "manifest": {"format": 1, "entries": []}})
        assert answer.status == 201, answer
        self.artifact = answer.json()["id"]
        answer = admin.put("/v1/datasets/corpus?tenant=ours", {"name": "corpus", "artifact": self.artifact})
        assert answer.status in (200, 201), answer
        self.victim = server.user("a-victim", ["member"], self.tenants["ours"])

    def path(self, path):
        values = {"dataset": "corpus", "job": self.job, "artifact": self.artifact, "site": "alpha", "tenant": self.tenants["ours"],
                  "user": self.victim.user, "token": self.victim.token_id, "region": "east", "a": "east", "b": "west",
                  "hash": "0" * 64, "attempt": "lq-1-" + "0" * 26 + "-1", "rank": "0", "path": "none"}
        path = re.sub(r"\{(\w+)\}", lambda match: values[match.group(1)], path)
        return path

    def call(self, client, method, path, operation):
        """A request that is refused for its content where that is possible, so that nothing changes."""
        path = self.path(path)
        if operation["x-ownership"] == "tenant":
            path += "?tenant=ours"
        if operation["operationId"] == "events":
            response = client.send("GET", path)
            status, body = response.status, b"" if response.status == 200 else response.read()
            client.close()
            return status, body
        headers = {}
        body = None
        if "requestBody" in operation:
            body = b"{}" if operation["operationId"] in ("job_cancel", "job_retry") else b"{"
        if method in ("PUT", "POST", "DELETE") and operation["operationId"] not in ("agent_join",):
            headers["If-Match"] = '"999999"'  # no such version: passes no further than that
        answer = client.call(method, path, body, headers)
        return answer.status, answer.body


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(str(tmp_path_factory.mktemp("world")))
    yield world
    world.server.stop()


SELF = {"tenant_id", "user", "token"}


def expected(role, operation, is_stranger=False):
    """401, 403, 404 or None (passes), by the tables alone."""
    own, permission = operation["x-ownership"], operation["x-permission"]
    if own == "open":
        return None
    if own == "agent":
        return 401
    if own == "self":
        return None
    if own == "attempt":
        permission = "artifact.read" if operation["operationId"].endswith("get") else "artifact.write"
    reach = TABLE[role].get(permission)
    if reach is None:
        return 403
    if own == "attempt":
        return 422 if role in ("admin", "operator", "auditor") else None  # of no tenant
    if own == "list":
        return None
    if own == "network":
        return None if reach == "network" else 404
    if reach == "network":
        return None
    if reach == "tenant":
        return None if own in ("tenant", "job", "artifact", "tenant_id", "user", "token") and not is_stranger else 404
    if reach == "operator":
        return None if own == "site" and not is_stranger else 404
    return 404  # self: the subjects of this test are somebody else's


@pytest.mark.quick
@pytest.mark.parametrize("role", ["admin", "operator", "member", "viewer", "auditor"])
def test_each_role_passes_where_the_table_says_and_nowhere_else(world, role):
    wrong = []
    for method, path, operation in OPERATIONS:
        status, body = world.call(world.people[role], method, path, operation)
        want = expected(role, operation)
        if want is None:
            missing = status == 404 and not operation["operationId"] in (
                "chunk_get", "artifact_file", "region_put", "link_put")
            if status in (401, 403) or missing or status >= 500:
                wrong.append((method, path, status, "passes", body[:120]))
        elif status != want:
            wrong.append((method, path, status, want, body[:120]))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.quick
@pytest.mark.parametrize("role", ["operator", "member", "viewer"])
def test_what_is_anothers_looks_as_if_it_were_not_there(world, role):
    client, nothing = world.strangers[role], "0" * 25 + "1"
    absent = {"job": "job_" + nothing, "artifact": "art_" + nothing, "site": "no-such-site", "tenant": "ten_" + nothing,
              "user": "usr_" + nothing, "token": "tok_" + nothing}
    wrong = []
    for method, path, operation in OPERATIONS:
        status, body = world.call(client, method, path, operation)
        want = expected(role, operation, is_stranger=True)
        if want is not None and status != want:
            wrong.append((method, path, status, want, body[:120]))
        if want == 404 and operation["operationId"] != "site_put":
            other = World.path(world, re.sub(r"\{(job|artifact|site|tenant|user|token)\}",
                                             lambda match: absent[match.group(1)], path))
            if operation["x-ownership"] == "tenant":
                other += "?tenant=no-such-tenant"
            headers = {"If-Match": '"999999"'} if method != "GET" else {}
            answer = client.call(method, other, b"{" if "requestBody" in operation else None, headers)
            if (answer.status, answer.body) != (status, body):
                wrong.append((method, path, "differs from what is not there", body[:120], answer))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.quick
def test_nobody_gets_in_without_a_good_token(world):
    server = world.server
    revoked = server.user("revoked", ["admin"])
    assert server.admin.delete(f"/v1/tokens/{revoked.token_id}").status == 200
    disabled = server.user("disabled", ["admin"])
    assert server.admin.put(f"/v1/users/{disabled.user}",
                            {"name": "disabled", "roles": ["admin"], "disabled": True}).status == 200
    expired = server.user("expired", ["admin"], expires_in="1ms")
    good = world.people["admin"].token
    callers = {"nobody": server.client(), "revoked": revoked, "expired": expired, "disabled": disabled,
               "mistyped": server.client(good[:-1] + ("0" if good[-1] != "0" else "1")),
               "made up": server.client("lq_" + "0" * 72), "cut off": server.client(good[:-5]),
               "agent": world.site.client}
    wrong = []
    for name, client in callers.items():
        for method, path, operation in OPERATIONS:
            own = operation["x-ownership"]
            if own == "open" or (name == "agent" and own in ("agent", "attempt")):
                continue
            status, body = world.call(client, method, path, operation)
            if status != 401:
                wrong.append((name, method, path, status, body[:120]))
    assert not wrong, "\n".join(map(str, wrong))


def test_a_token_with_fewer_scopes_can_do_no_more_than_they_say(world):
    for scope in ("job.read", "network.read", "usage.read", "token.write"):
        client = world.server.user("scoped-" + scope, ["admin"], scopes=[scope])
        wrong = []
        for method, path, operation in OPERATIONS:
            own, permission = operation["x-ownership"], operation["x-permission"]
            if own in ("open", "self"):
                continue
            status, body = world.call(client, method, path, operation)
            if own == "agent":
                want = 401
            elif own == "attempt" or permission != scope:
                want = 403
            else:
                assert status not in (401, 403), (method, path, body)
                continue
            if status != want:
                wrong.append((scope, method, path, status, want))
        assert not wrong, "\n".join(map(str, wrong))
        if scope == "token.write":  # and hands on no more than it has
            answer = client.post("/v1/tokens", {"label": "more"})
            assert answer.status == 201
            assert world.server.client(answer.json()["token"]).get("/v1/jobs").status == 403


def test_agents_reach_their_own_routes_only_with_their_own_secrets(world):
    agent = world.site.client
    for method, path, operation in OPERATIONS:
        if operation["x-ownership"] not in ("agent", "attempt"):
            continue
        status, body = world.call(agent, method, path, operation)
        assert status in (400, 403), (method, path, status, body)
    name = "lq-1-" + world.job.split("_")[1] + "-1"
    for secret in ("", "x" * 43):
        headers = {"Lq-Attempt": name, "Lq-Secret": secret}
        assert agent.call("GET", "/v1/chunks/" + "0" * 64, None, headers).status in (400, 403)
        assert agent.call("POST", f"/v1/agent/logs/{name}/0?offset=0", b"hello", headers).status == 403


def test_a_member_cannot_raise_itself_or_others(world):
    member, operator = world.people["member"], world.people["operator"]
    assert member.post("/v1/tokens", {"user": world.people["admin"].user}).status == 404
    assert member.post("/v1/users", {"name": "mine", "roles": ["admin"]}).status == 403
    own = {"name": "a-member", "roles": ["admin"], "tenant": world.tenants["ours"]}
    assert member.put(f"/v1/users/{member.user}", own).status == 403
    assert operator.put("/v1/sites/beta", site_body("beta", operator="op2")).status == 403
    assert operator.put("/v1/sites/beta", site_body("beta")).status == 201
    assert operator.put("/v1/sites/beta", site_body("beta", operator="op2")).status == 403
    assert world.strangers["operator"].put("/v1/sites/beta", site_body("beta", operator="op2")).status == 404
    assert world.strangers["operator"].post("/v1/join-tokens", {"site": "alpha"}).status == 409
    assert operator.post("/v1/join-tokens", {"site": "beta", "operator": "op2"}).status == 403


def test_paths_take_the_methods_that_are_described(world):
    described = {}
    for method, path, _ in OPERATIONS:
        described.setdefault(path, set()).add(method)
    for path, methods in described.items():
        for method in {"GET", "PUT", "POST", "DELETE", "PATCH"} - methods:
            answer = world.server.admin.call(method, world.path(path))
            assert answer.status == 405, (method, path, answer)
            assert set(answer.headers["allow"].split(", ")) == methods
    for path in ("/", "/v1", "/v1/", "/v1/job", "/v1/jobs/", "/v2/jobs", "/v1/jobs/../tenants", "/v1//jobs"):
        assert world.server.admin.call("GET", path).status in (400, 404), path


def test_attempts_at_a_site_are_for_its_operator_and_those_of_the_network(world):
    path = "/v1/sites/alpha/attempts?state=running,ended"
    for role in ("operator", "admin", "auditor"):
        assert world.people[role].get(path).json() == {"items": [], "next": None}, role
    for client in (world.people["member"], world.people["viewer"], *world.strangers.values()):
        assert client.get(path).status == 404
        assert client.get("/v1/sites/nowhere/attempts").status == 404
    for query in ("state=asleep", "cursor=x", "cursor=job_x.1", "limit=0", "tenant=ours"):
        assert world.people["operator"].get(f"/v1/sites/alpha/attempts?{query}").status == 400, query
