"""Reads a dashboard into the classes that Grafana makes of its own schema, and writes it again. It runs in a venv of its own,
as a program:

    python grafana_model.py DASHBOARD    # a list of what the classes do not know or have changed, as JSON on standard output
"""

import json
import sys

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard


def differences(ours, theirs, place=""):
    """What is in `ours` and not the same in `theirs`, which has defaults as well."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from differences(value, theirs[key], f"{place}.{key}") if key in theirs else [f"{place}.{key} is unknown"]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, pair in enumerate(zip(ours, theirs)):
            yield from differences(*pair, f"{place}[{number}]")
    elif ours != theirs:
        yield f"{place} is {ours!r} and not {theirs!r}"


def main():
    plugins.register_default_plugins()
    with open(sys.argv[1], encoding="utf-8") as file:
        ours = json.load(file)
    json.dump(list(differences(ours, json.loads(JSONEncoder().encode(Dashboard.from_json(ours))))), sys.stdout)


if __name__ == "__main__":
    main()
