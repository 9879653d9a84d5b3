#!/usr/bin/env python3
"""Writes demo.yaml and national.yaml from ../domain/*.csv. With --check: only compares.

A figure without a source is left out (national.yaml) or replaced by an example whose source begins
with the word "example" (demo.yaml). Nothing else in the files is made up, but for names, nodes,
tenants and settings of the demonstration.
"""

import csv
import json
import os
import re
import sys
from decimal import Decimal

HERE = os.path.dirname(os.path.abspath(__file__))
DOMAIN = os.path.join(HERE, "..", "domain")

# Names as they stand in URLs; the titles keep the source's spelling.
SITES = {
    "Zhangjiakou": "zhangjiakou",
    "YRD Eco-Green Integration Demonstration Zone": "yrd-demonstration-zone",
    "Wuhu": "wuhu",
    "Shaoguan": "shaoguan",
    "Tianfu": "tianfu",
    "Chongqing": "chongqing",
    "Horinger": "horinger",
    "Gui'an": "guian",
    "Qingyang": "qingyang",
    "Zhongwei": "zhongwei",
}

# Their measured_pue is of one company's data centre and stands for no cluster.
PUE_OF_ONE_COMPANY = {"Horinger"}

DEMO = ["Zhongwei", "Gui'an", "Wuhu"]
# No source: what stands in for it, so that the demonstration can rank and bill.
DEMO_EXAMPLES = {
    "Wuhu": {"price_per_kwh": "0.60", "pue": "1.25"},
}
DEMO_ASK_PER_CPU_HOUR = {"Zhongwei": "0.040", "Gui'an": "0.042", "Wuhu": "0.090"}
DEMO_NODES = {"Zhongwei": 8, "Gui'an": 8, "Wuhu": 4}

DEMO_HEAD = """\
# The demonstration network of ./run: three sites of the real topology on one machine.
# Written by generate.py from ../domain/*.csv; change that, not this.
#
# Real: places, roles by policy, carbon factors (2022), and the tariffs and PUE that name a source
# (its confidence stands beside it; the tariffs are claims of low confidence).
# Example values: everything whose source begins with "example". They are named so in output, too.
# Estimates: round trips (from distance); the agents measure the real ones.
# Nodes are logical: each is a share of this one machine with limits of its own, and together they
# may promise more cores than it has. They offer the runtime cpu; there are no accelerators here.
"""

DEMO_TAIL = """\
tenants:
  - name: demo
    title: "The demonstration"
    weight: 1
  - name: research
    title: "Trains the language model"
    parent: demo
    weight: 2
    quota: {cpus: 16}
  - name: philly
    title: "Replays the Philly trace"
    parent: demo
    weight: 1

# Times of a small network: a lost site is noticed and its work moved within seconds. The defaults
# are minutes.
settings:
  lease_floor: 6s
  contact_limit: 4s
  start_limit: 20s
  kill_limit: 3s
  usage_every: 2s
  default_time_limit: 10m
"""

NATIONAL_HEAD = """\
# The ten national clusters. Written by generate.py from ../domain/*.csv; change that, not this.
#
# Nothing here is made up: a figure without a source is left out. No source says what a site asks or
# how many nodes it has, so there are no asks and no nodes, and nothing is placed here until an
# operator adds them. Capacities are the sources' own totals, in comments, since they fit no node.
# Round trips are estimates from distance. Regions are provinces.
"""


def table(name):
    with open(os.path.join(DOMAIN, name), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def quoted(text):
    """A double-quoted YAML scalar (JSON strings are)."""
    return json.dumps(text, ensure_ascii=False)


def one_number(text):
    """The number that a cell such as "1.15 design claim" or "~1.25 (2023)" begins with."""
    match = re.match(r"~?(\d+(?:\.\d+)?)(?!\S)", text.strip())
    return match[1] if match else None


def role_of(hub):
    return "train" if hub["role"].startswith("non-real-time") else "serve"


def region_name(province):
    return province.lower().replace(" ", "-")


def price_of(province, tariffs):
    for row in tariffs:
        if row["province"] == province and row["base_flat_price_cny_kwh"]:
            source = (f"tariffs.csv: {row['period_scheme']}; {row['source']}; "
                      f"confidence {row['confidence']}")
            return row["base_flat_price_cny_kwh"], source
    return None, None


def carbon_of(province, carbon):
    for row in carbon:
        if row["province"] == province and row["factor_2022"]:
            grams = (Decimal(row["factor_2022"]) * 1000).normalize()
            return f"{grams:f}", ("carbon.csv: factor_2022, annual average, location-based; "
                                  f"confidence {row['confidence']}")
    return None, None


def region(hub, tariffs, carbon, examples):
    lines = [f"  - name: {region_name(hub['province'])}",
             f"    title: {quoted(hub['province'])}",
             f"    role: {role_of(hub)}",
             f"    lat: {hub['lat']}",
             f"    lon: {hub['lon']}",
             "    jurisdiction: CN"]
    pue = None if hub["cluster_name"] in PUE_OF_ONE_COMPANY else one_number(hub["measured_pue"])
    figures = {"price_per_kwh": price_of(hub["province"], tariffs),
               "carbon_g_per_kwh": carbon_of(hub["province"], carbon),
               "pue": (pue, f"hubs.csv: measured_pue of {hub['cluster_name']}: {hub['measured_pue']}")}
    for key, (value, source) in figures.items():
        if value is None and key in examples:
            value, source = examples[key], "example: no source has this figure"
        if value is not None:
            lines += [f"    {key}: {quoted(value)}",
                      f"    {key.split('_')[0]}_source: {quoted(source)}"]
    return lines


def links(clusters, rtt):
    lines = []
    for row in rtt:
        if row["from"] in clusters and row["to"] in clusters:
            lines += [f"  - a: {SITES[row['from']]}", f"    b: {SITES[row['to']]}",
                      f"    rtt_ms: {row['rtt_est_ms']}", "    source: estimate"]
    return lines


def title_of(hub):
    if hub["cluster_seat"] == hub["cluster_name"]:
        return quoted(hub["cluster_name"])
    return quoted(f"{hub['cluster_name']}: {hub['cluster_seat']}")


def demo(hubs, tariffs, carbon, rtt):
    chosen = [hub for name in DEMO for hub in hubs if hub["cluster_name"] == name]
    lines = ["currency: CNY", "", "regions:"]
    for hub in chosen:
        lines += region(hub, tariffs, carbon, DEMO_EXAMPLES.get(hub["cluster_name"], {}))
    lines += ["", "operators:"]
    for hub in chosen:
        lines += [f"  - name: {SITES[hub['cluster_name']]}-operator",
                  f"    title: {quoted('Example operator of ' + hub['cluster_name'])}"]
    lines += ["", "sites:"]
    for hub in chosen:
        cluster = hub["cluster_name"]
        lines += [f"  - name: {SITES[cluster]}",
                  f"    title: {title_of(hub)}",
                  f"    region: {region_name(hub['province'])}",
                  f"    operator: {SITES[cluster]}-operator",
                  "    tier: hub",
                  "    engine: host",
                  f"    ask_per_cpu_hour: {quoted(DEMO_ASK_PER_CPU_HOUR[cluster])}",
                  "    ask_source: \"example: no operator publishes an ask\"",
                  "    nodes:"]
        lines += [f"      - {{name: {SITES[cluster]}-{i + 1}, cpus: 1, memory: 1GiB}}"
                  for i in range(DEMO_NODES[cluster])]
    lines += ["", "links:"] + links(DEMO, rtt)
    return DEMO_HEAD + "\n".join(lines) + "\n\n" + DEMO_TAIL


def capacity_of(hub):
    if not hub["capacity_eflops"]:
        return "    # capacity: the sources give none"
    return (f"    # capacity: {hub['capacity_eflops']} EFLOPS, {hub['capacity_basis']}, "
            f"{hub['capacity_date']}; confidence {hub['confidence']}")


def national(hubs, tariffs, carbon, rtt):
    lines = ["currency: CNY", "", "regions:"]
    for hub in hubs:
        lines += region(hub, tariffs, carbon, {})
    lines += ["", "operators:", "  - name: not-stated",
              "    title: \"The sources name no operator\"", "", "sites:"]
    for hub in hubs:
        lines += [f"  - name: {SITES[hub['cluster_name']]}",
                  f"    title: {title_of(hub)}",
                  f"    region: {region_name(hub['province'])}",
                  "    operator: not-stated",
                  "    tier: hub",
                  capacity_of(hub)]
    lines += ["", "links:"] + links(list(SITES), rtt)
    return NATIONAL_HEAD + "\n".join(lines) + "\n"


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    facts = [table(name) for name in ("hubs.csv", "tariffs.csv", "carbon.csv", "rtt.csv")]
    stale = []
    for name, text in (("demo.yaml", demo(*facts)), ("national.yaml", national(*facts))):
        path = os.path.join(HERE, name)
        if sys.argv[1:]:
            with open(path, encoding="utf-8") as file:
                if file.read() != text:
                    stale.append(name)
        else:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    if stale:
        sys.exit(f"not what generate.py writes: {', '.join(stale)}")


if __name__ == "__main__":
    main()
