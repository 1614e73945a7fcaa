"""Reads a manifest and validates it against the API schemas of Kubernetes. It runs in a venv of its own, as a program:

    python kube_schema.py MANIFEST    # {"documents": [...], "versions": [...], "errors": [...]} on standard output

The versions are those from the one on that the first line of the manifest names.
"""

import json
import re
import sys

import kubernetes_validate
import yaml


def errors_of(document, version):
    """What the schema of this version of the API refuses; unknown fields are refused as well."""
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        place = "".join(f".{part}" for part in error.path)
        return [f"{document.get('kind')}{place}, {version}: {error.message}"]
    except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.InvalidSchemaError) as error:
        return [f"{document.get('kind')}, {version}: {error.message}"]
    return []


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    documents = list(yaml.safe_load_all(text))
    first = [int(part) for part in re.search(r"Kubernetes (\d+)\.(\d+) or later", text.partition("\n")[0]).groups()]
    versions = [one for one in kubernetes_validate.utils.all_versions() if [*map(int, one.split(".")[:2])] >= first]
    errors = [error for version in versions for document in documents for error in errors_of(document, version)]
    json.dump({"documents": documents, "versions": versions, "errors": errors}, sys.stdout)


if __name__ == "__main__":
    main()
