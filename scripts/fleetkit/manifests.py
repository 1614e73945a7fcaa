"""docs/fleet/kubernetes.yaml, tried: the schemas of the API, the objects beside each other, the probes on a real server."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import tomllib

from lib import Missing, Trouble, fetch, request, until
from lib.server import STHENO_SAYS, Child

from . import RECIPES
from .trying import OUT, STATUS_SAYS, in_venv, local, said, status_of

MANIFEST = RECIPES / "kubernetes.yaml"
# kubernetes-validate has the schemas in its package, and asks no cluster.
PACKAGES = ["kubernetes-validate==1.37.0", "pyyaml==6.0.3"]
PROBES = "startupProbe", "readinessProbe", "livenessProbe"
LARGE = 48 << 20
# Seconds between the end of drain and grace, and the kill.
SPARE = 5


def read():
    """The documents of the manifest by kind, the versions of the API, and the errors of its schemas."""
    found = in_venv("kubernetes", PACKAGES, "kube_schema.py", MANIFEST)
    kinds = {document["kind"]: document for document in found["documents"]}
    if len(kinds) != len(found["documents"]):
        raise Trouble("kubernetes.yaml has a kind twice")
    return kinds, found["versions"], found["errors"]


def container(kinds):
    return kinds["Deployment"]["spec"]["template"]["spec"]["containers"][0]


def configuration(kinds):
    """The text of the server's file, by its place in the container."""
    pod, mounts = kinds["Deployment"]["spec"]["template"]["spec"], container(kinds)["volumeMounts"]
    path = container(kinds)["args"][container(kinds)["args"].index("--config") + 1]
    folder, _, name = path.rpartition("/")
    volume = next(mount["name"] for mount in mounts if mount["mountPath"] == folder)
    source = next(one["configMap"]["name"] for one in pod["volumes"] if one["name"] == volume)
    if source != kinds["ConfigMap"]["metadata"]["name"]:
        raise Trouble(f"kubernetes.yaml: the volume {volume} is of {source}, which is no ConfigMap here")
    return kinds["ConfigMap"]["data"][name]


def selectors(kinds):
    """Selectors that do not choose the pods of the Deployment."""
    labels = kinds["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    chosen = {"Deployment": kinds["Deployment"]["spec"]["selector"]["matchLabels"],
              "Service": kinds["Service"]["spec"]["selector"],
              "PodDisruptionBudget": kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
              "NetworkPolicy": kinds["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]}
    for number, one in enumerate(kinds["Deployment"]["spec"]["template"]["spec"]["topologySpreadConstraints"]):
        chosen[f"topologySpreadConstraints[{number}]"] = one["labelSelector"]["matchLabels"]
    return [f"{kind} selects other pods" for kind, wanted in chosen.items() if not (wanted and wanted.items() <= labels)]


def ports(kinds, options):
    """Ports that are named and do not exist, or differ from those of the configuration."""
    there = {one["name"]: one["containerPort"] for one in container(kinds)["ports"]}
    asked = [container(kinds)[probe]["httpGet"]["port"] for probe in PROBES]
    asked += [one["targetPort"] for one in kinds["Service"]["spec"]["ports"]]
    asked += [one["port"] for rule in kinds["NetworkPolicy"]["spec"]["ingress"] for one in rule["ports"]]
    found = [f"there is no port {name}" for name in sorted({*asked} - {*there})]
    for name, place in (("http", options["listen"][0]), ("status", options["status"])):
        if int(place.rpartition(":")[2]) != there.get(name):
            found.append(f"the port {name} is {there.get(name)}, and the configuration has {place}")
    if any(one["targetPort"] == "status" for one in kinds["Service"]["spec"]["ports"]):
        found.append("the Service opens the status page")
    return found


def times(kinds, options):
    """Times that are too short beside those of the configuration."""
    spec = kinds["Deployment"]["spec"]["template"]["spec"]
    need, found = options["drain-delay"] + options["grace"] + SPARE, []
    if spec["terminationGracePeriodSeconds"] < need:
        found.append(f"terminationGracePeriodSeconds is less than drain-delay + grace + {SPARE}, {need}")
    ready, alive = container(kinds)["readinessProbe"], container(kinds)["livenessProbe"]
    if ready["periodSeconds"] * ready["failureThreshold"] + ready["timeoutSeconds"] > options["drain-delay"]:
        found.append("drain-delay is over before the readiness probe has failed")
    # 10 s are the default of worker-timeout, in which the master replaces a worker that hangs.
    if alive["periodSeconds"] * alive["failureThreshold"] <= options.get("worker-timeout", 10) + alive["timeoutSeconds"]:
        found.append("the liveness probe fails before the master replaces a worker")
    return found


def rights(kinds):
    """Restrictions that are missing (the profile `restricted` of Kubernetes' Pod Security Standards), volumes, budget."""
    pod, found = kinds["Deployment"]["spec"]["template"]["spec"], []
    for one in (*pod["initContainers"], *pod["containers"]):
        have = pod["securityContext"] | one["securityContext"]
        wanted = {"runAsNonRoot": True, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False,
                  "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}
        found += [f"{one['name']}: {name} is {have.get(name)}" for name, value in wanted.items() if have.get(name) != value]
        found += [f"{one['name']}: there is no volume {mount['name']}" for mount in one["volumeMounts"]
                  if mount["name"] not in {volume["name"] for volume in pod["volumes"]}]
    found += [f"{mount['name']} can be written" for mount in container(kinds)["volumeMounts"] if not mount.get("readOnly")]
    if kinds["PodDisruptionBudget"]["spec"]["maxUnavailable"] >= kinds["Deployment"]["spec"]["replicas"]:
        found.append("the budget allows all pods to be away")
    return found


def copied(kinds, site):
    """The command of the init container, by its user, into a volume that belongs to root; returns what is wrong. None where
    only root can try it."""
    spec = kinds["Deployment"]["spec"]["template"]["spec"]
    user, (init,) = spec["securityContext"]["runAsUser"], spec["initContainers"]
    if os.geteuid():
        return None
    with tempfile.TemporaryDirectory() as folder:
        image, volume = pathlib.Path(folder, "site"), pathlib.Path(folder, "srv")
        shutil.copytree(site, image)
        volume.mkdir()
        for path, mode in ((folder, 0o755), (volume, 0o777)):
            os.chmod(path, mode)
        words = [local(word, {"/site": str(image)}) if word.startswith("/site") else
                 local(word, {"/srv": str(volume)}) if word.startswith("/srv") else word for word in init["command"]]
        done = subprocess.run(words, user=user, group=user, extra_groups=[], capture_output=True, text=True, check=False)
        root = pathlib.Path(local(tomllib.loads(configuration(kinds))["root"], {"/srv": str(volume)}))
        pairs = [(one.stat().st_mtime_ns, (root / one.name).stat().st_mtime_ns) for one in image.iterdir()
                 if (root / one.name).exists()]
        wrong = [done.stderr.strip()] if done.returncode else []
        return wrong + ["the content or its times are not those of the image"] * (
            len(pairs) < len(list(image.iterdir())) or any(old != new for old, new in pairs))


def is_there(status, path):
    """The status of an answer of the status page."""
    return status_of(fetch(status, request(path, "Connection: close"), 10))


def pod(program, text, site):
    """The server of the manifest, with the paths and ports of this machine and a shorter delay."""
    path = OUT / "kubernetes.toml"
    path.write_text(local(text, {'"/srv/site"': f'"{site}"', '":8080"': '"127.0.0.1:0"', '"0.0.0.0:9100"': '"127.0.0.1:0"',
                                 "drain-delay = 10": "drain-delay = 1.5"}))
    return Child([program, "--config", str(path)], OUT / "kubernetes.log", signal.SIGTERM)


def life(program, kinds, site):
    """The probes while the server starts, drains beside a slow download, and ends; returns what is wrong."""
    start, ready, alive = [container(kinds)[name]["httpGet"]["path"] for name in PROBES]
    (site / "large").write_bytes(bytes(range(256)) * (LARGE >> 8))
    log, found, wrong = OUT / "kubernetes.log", [], []

    def expect(moment, **wanted):
        for path, status in ((start, wanted.get("ready")), (ready, wanted.get("ready")), (alive, 200)):
            if (seen := is_there(status_port, path)) != status:
                wrong.append(f"{moment}: {path} is {seen}, not {status}")

    with pod(program, configuration(kinds), site) as server, contextlib.closing(socket.socket()) as client:
        server.wait_until_ready(lambda: found.extend(re.findall(STHENO_SAYS, log.read_text(), re.M)) or found, log, 20)
        status_port = int(re.findall(STATUS_SAYS, log.read_text(), re.M)[0])
        expect("after the start", ready=200)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        client.settimeout(20)
        client.connect(("127.0.0.1", int(found[0])))
        client.sendall(request("/large", "Connection: close"))
        taken = len(client.recv(1 << 12))
        server.process.send_signal(signal.SIGTERM)
        until(lambda: is_there(status_port, ready) == 503, f"{ready} is 503 after SIGTERM", 5)
        expect("in drain-delay", ready=503)
        if status_of(fetch(int(found[0]), request("/", "Connection: close"))) != 200:
            wrong.append("in drain-delay: a new connection is not served")

        def is_closed():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", int(found[0]))) != 0
        until(is_closed, "the port is closed after drain-delay", 10, 0.05)
        expect("in grace", ready=503)
        for piece in iter(lambda: client.recv(1 << 20), b""):
            taken += len(piece)
        if taken <= LARGE:
            wrong.append(f"the download has ended after {taken} bytes")
        server.wait(10)
        if server.process.returncode:
            wrong.append(f"the exit code is {server.process.returncode}")
    return wrong


def check(program, site):
    """Rows of the manifest."""
    try:
        kinds, versions, errors = read()
    except Missing as missing:
        yield "kubernetes.yaml", None, f"not run: {missing}"
        return
    yield ("kubernetes.yaml: schemas of the API, strict", not errors,
           "; ".join(errors[:3]) or f"{len(kinds)} objects, {versions[0]} to {versions[-1]}")
    if errors:
        return
    options = tomllib.loads(configuration(kinds))
    wrong = [*selectors(kinds), *ports(kinds, options), *times(kinds, options), *rights(kinds)]
    yield "kubernetes.yaml: selectors, ports, times, rights", not wrong, "; ".join(wrong) or "fit each other and stheno.toml"
    path = OUT / "kubernetes-check.toml"
    path.write_text(local(configuration(kinds), {'"/srv/site"': f'"{site}"', '":8080"': '"127.0.0.1:0"', ':9100"': ':0"'}))
    fine, detail = said(program, "--check", "--config", path)
    yield "kubernetes.yaml: stheno --check takes its configuration", fine, detail
    if not fine:
        return
    wrong = copied(kinds, site)
    yield ("kubernetes.yaml: the copy of the content, by its user", None if wrong is None else not wrong,
           "not run: only root can become that user" if wrong is None else "; ".join(wrong) or "with its times")
    wrong = life(program, kinds, site)
    yield ("kubernetes.yaml: its probes while a server starts, drains and ends", not wrong,
           "; ".join(wrong) or "as meant, exit code 0")
