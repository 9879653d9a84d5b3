"""What data/ ships agrees with its sources: nothing is made up that does not say so."""

import csv
import hashlib
import pathlib
import re
import subprocess
import sys
from decimal import Decimal

import pytest
import yaml

DATA = pathlib.Path(__file__).resolve().parents[2] / "data"
FIGURES = ("price_per_kwh", "carbon_g_per_kwh", "pue")

pytestmark = pytest.mark.quick


def table(name):
    with open(DATA / "domain" / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


HUBS = table("hubs.csv")


def topology(name):
    return yaml.safe_load((DATA / "topology" / name).read_text(encoding="utf-8"))


def slug(text):
    return text.lower().replace("'", "").replace(" ", "-")


def hub_of_site(name):
    """The only cluster whose name the site's begins with: yrd-… is the one of the river delta."""
    found = [hub for hub in HUBS if slug(hub["cluster_name"]).startswith(name.split("-")[0])]
    assert len(found) == 1, name
    return found[0]


def is_example(region, figure):
    return region.get(figure.split("_")[0] + "_source", "").startswith("example")


def sourced(figure, province):
    """All numbers that the tables have for this figure of this province."""
    if figure == "price_per_kwh":
        return {row["base_flat_price_cny_kwh"] for row in table("tariffs.csv")
                if row["province"] == province} - {""}
    if figure == "carbon_g_per_kwh":
        return {f"{Decimal(row['factor_2022']) * 1000:.1f}" for row in table("carbon.csv")
                if row["province"] == province and row["factor_2022"]}
    return {match for hub in HUBS if hub["province"] == province
            for match in re.findall(r"\d\.\d+", hub["measured_pue"])}


def test_the_files_are_what_the_generator_writes():
    result = subprocess.run([sys.executable, DATA / "topology" / "generate.py", "--check"],
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["demo.yaml", "national.yaml"])
def test_every_figure_of_a_region_is_in_the_tables_or_says_example(name):
    checked = 0
    for region in topology(name)["regions"]:
        for figure in FIGURES:
            if figure not in region:
                continue
            assert region[figure.split("_")[0] + "_source"], (region["name"], figure)
            if not is_example(region, figure):
                value = region[figure]
                assert isinstance(value, str), "figures are decimal strings"
                wanted = sourced(figure, region["title"])
                assert Decimal(value) in {Decimal(x) for x in wanted}, (region["name"], figure)
                checked += 1
    assert checked >= 7


@pytest.mark.parametrize("name", ["demo.yaml", "national.yaml"])
def test_places_and_roles_are_those_of_the_clusters(name):
    file = topology(name)
    regions = {region["name"]: region for region in file["regions"]}
    for site in file["sites"]:
        hub, region = hub_of_site(site["name"]), regions[site["region"]]
        assert site["title"].startswith(hub["cluster_name"])
        assert region["title"] == hub["province"]
        assert (Decimal(str(region["lat"])), Decimal(str(region["lon"]))) == (
            Decimal(hub["lat"]), Decimal(hub["lon"]))
        assert region["role"] == ("train" if hub["region"] == "west" else "serve")
        assert region["jurisdiction"] == "CN"


@pytest.mark.parametrize("name", ["demo.yaml", "national.yaml"])
def test_every_round_trip_is_the_tables_estimate_and_says_so(name):
    file = topology(name)
    rtt = {frozenset((row["from"], row["to"])): row for row in table("rtt.csv")}
    for link in file["links"]:
        ends = frozenset(hub_of_site(link[end])["cluster_name"] for end in "ab")
        assert link["source"] == "estimate"
        assert Decimal(str(link["rtt_ms"])) == Decimal(rtt[ends]["rtt_est_ms"])
        assert "ESTIMATE" in rtt[ends]["method"]
        assert "bandwidth_mbps" not in link  # no source has one
    count = len(file["sites"])
    assert len(file["links"]) == count * (count - 1) // 2


def test_the_national_network_has_ten_clusters_and_no_invented_figure():
    file = topology("national.yaml")
    text = (DATA / "topology" / "national.yaml").read_text(encoding="utf-8")
    assert len(file["sites"]) == len(file["regions"]) == len(HUBS) == 10
    assert {hub_of_site(site["name"])["cluster_name"] for site in file["sites"]} == {
        hub["cluster_name"] for hub in HUBS}
    for site in file["sites"]:
        assert "nodes" not in site
        assert not [key for key in site if key.startswith("ask")]
    assert not re.search(r"^[^#]*example", text, re.M)
    for hub in HUBS:  # the capacities in the comments, and only where there is one
        assert not hub["capacity_eflops"] or f"# capacity: {hub['capacity_eflops']} EFLOPS" in text
    stated = re.findall(r"# capacity: [0-9.]+ EFLOPS", text)
    assert len(stated) == sum(1 for hub in HUBS if hub["capacity_eflops"])


def test_what_the_demonstration_makes_up_says_so():
    file = topology("demo.yaml")
    assert [(site["name"], site["engine"]) for site in file["sites"]] == [
        ("zhongwei", "host"), ("guian", "host"), ("wuhu", "host")]
    for site in file["sites"]:
        assert site["ask_source"].startswith("example")
        assert len(site["nodes"]) >= 2
        assert len({node["name"] for node in site["nodes"]}) == len(site["nodes"])
        for node in site["nodes"]:
            assert "accelerators" not in node, "no such hardware here"
    for operator in file["operators"]:
        assert operator["title"].startswith("Example")
    anhui = next(region for region in file["regions"] if region["name"] == "anhui")
    assert is_example(anhui, "price_per_kwh") and is_example(anhui, "pue")
    tenants = {tenant["name"] for tenant in file["tenants"]}
    assert all(tenant.get("parent", "demo") in tenants for tenant in file["tenants"])


def test_the_tables_are_the_ones_whose_sums_are_written_down():
    sums = re.findall(r"([0-9a-f]{64})  (\S+\.csv)",
                      (DATA / "domain" / "SOURCES.md").read_text(encoding="utf-8"))
    assert len(sums) == 5
    for want, name in sums:
        assert hashlib.sha256((DATA / "domain" / name).read_bytes()).hexdigest() == want, name


def test_empty_cells_stay_empty():
    models = {row["model"]: row for row in table("accelerators.csv")}
    assert len(models) == 19
    for model in ("MLU370-X8", "DCU K100 / K100_AI", "P800", "C500"):
        assert models[model]["fp16_bf16_tflops_dense"] == ""
    tariffs = [row for row in table("tariffs.csv") if row["base_flat_price_cny_kwh"]]
    assert {row["province"] for row in tariffs} == {"Ningxia", "Guizhou"}


@pytest.mark.parametrize("count", [300, 2000])
def test_the_philly_part_is_whole_and_attributed(count):
    with open(DATA / "philly" / f"philly-{count}.csv", encoding="utf-8", newline="") as file:
        jobs = list(csv.DictReader(file))
    assert len(jobs) == count
    assert list(jobs[0]) == ["timestamp", "duration", "num_gpus", "gpu_time", "cluster"]
    for job in jobs:
        assert re.fullmatch(r"2017-\d\d-\d\d \d\d:\d\d:\d\d", job["timestamp"])
        assert float(job["duration"]) >= 0 and int(job["num_gpus"]) >= 1
    assert any(int(job["num_gpus"]) > 1 for job in jobs), "gangs are part of it"
    assert "CC-BY-4.0" in (DATA / "philly" / "SOURCES.md").read_text(encoding="utf-8")
