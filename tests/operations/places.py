"""The manifests of deploy/: each resource by Kubernetes' own schema, and what has to agree with other files.

Resources of the Prometheus operator and of NACK have no schema here; of them the fields that matter are checked."""

import json
import pathlib
import re
import sys

import kubernetes_validate
import yaml

KUBERNETES = "1.36"
ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
NAME = {"app.kubernetes.io/name": "profile-projector"}


def documents(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def resources(folder):
    """What a kustomization gives, by its files."""
    found = []
    for name in documents(folder / "kustomization.yaml")[0]["resources"]:
        path = folder / name
        found += resources(path) if path.is_dir() else documents(path)
    return found


def check(condition, what):
    if not condition:
        sys.exit(f"deploy/: {what}")


def of_kind(found, kind):
    of = [resource for resource in found if resource["kind"] == kind]
    check(len(of) == 1, f"{len(of)} of {kind}")
    return of[0]


def pod(spec, arguments):
    hold = spec["securityContext"]
    check(hold["runAsNonRoot"] and hold["runAsUser"] == 65532, "a pod runs as a user by number")
    check(hold["seccompProfile"] == {"type": "RuntimeDefault"}, "seccomp")
    check(spec["automountServiceAccountToken"] is False, "a pod has no token of the cluster")
    container = spec["containers"][0]
    hold = container["securityContext"]
    check(hold["readOnlyRootFilesystem"] and hold["capabilities"] == {"drop": ["ALL"]}, "a container may do little")
    check(hold["allowPrivilegeEscalation"] is False, "no escalation")
    check(container["args"] == arguments, f"arguments {container['args']}")
    for probe, path in [("startupProbe", "/livez"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")]:
        check(container[probe]["httpGet"] == {"path": path, "port": "admin"}, probe)
    variables = {variable["name"]: variable for variable in container["env"]}
    named = variables["PROFILE_PROJECTOR_CONSUMER_NAME"]["valueFrom"]["fieldRef"]["fieldPath"]
    check(named == "metadata.name", "each replica has a consumer of its own")
    known = (ROOT / "crates/service/src/cli.rs").read_text()
    for variable in variables:
        check(f'"{variable}"' in known, f"no flag reads {variable}")
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    check(mounts["/data"] == "model", "the read model has a volume")
    # The bounds of MEMORY.md, in MiB, fit into the limit.
    most = int(re.search(r"\*\*the sum\*\* \| \| \*\*(\d+)\*\*", (DEPLOY / "MEMORY.md").read_text())[1])
    check(container["resources"]["limits"] == {"memory": "1Gi"} and most <= 1024, "the limit holds the bounds")
    check(spec["terminationGracePeriodSeconds"] > 10, "it may end by itself")


def common(found):
    for kind in ["Service", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor"]:
        spec = of_kind(found, kind)["spec"]
        selector = spec.get("selector") or spec["podSelector"]
        check(selector.get("matchLabels", selector) == NAME, f"{kind} selects {selector}")
    ports = {port["name"]: port["port"] for port in of_kind(found, "Service")["spec"]["ports"]}
    check(ports == {"query": 3210, "admin": 3211}, ports)
    check(of_kind(found, "Service")["metadata"]["name"] == "profile-projector", "the job that alerts ask for")
    monitor = of_kind(found, "ServiceMonitor")
    check(monitor["apiVersion"] == "monitoring.coreos.com/v1", "ServiceMonitor")
    check(monitor["spec"]["endpoints"][0]["port"] == "admin", "metrics are on the operators' port")
    rules = of_kind(found, "PrometheusRule")
    check(rules["spec"] == documents(DEPLOY / "prometheus/rules.yaml")[0], "alerts.yaml is not rules.yaml: copy its groups")
    stream(of_kind(found, "Stream"))


# Members of stream.json that NACK calls otherwise, or writes otherwise.
RENAMED = {"num_replicas": "replicas", "allow_rollup_hdrs": "allowRollup"}
CHANGED = {"replicas": 3, "maxAge": "", "duplicateWindow": "10m"}


def stream(found):
    check(found["apiVersion"] == "jetstream.nats.io/v1beta2", "Stream")
    spec = dict(found["spec"])
    check(spec.pop("preventDelete") is True, "NACK must not delete the stream")
    config = json.loads((DEPLOY / "nats/stream.json").read_text())
    camel = lambda name: re.sub(r"_(.)", lambda match: match[1].upper(), name)
    wanted = {RENAMED.get(name, camel(name)): value for name, value in config.items()}
    check(config["max_age"] == 0 and config["duplicate_window"] == 600 * 10**9, "stream.json")
    wanted |= CHANGED
    check(spec == wanted, f"stream.yaml and stream.json differ: {spec} {wanted}")


def compose():
    services = documents(DEPLOY / "compose.yaml")[0]["services"]
    for name, service in services.items():
        image = service.get("image", ":0")
        check(re.search(r":v?\d", image), f"{name} has no version: {image}")
    for name in ["nats", "service"]:
        check("healthcheck" in services[name], f"{name} has no health check")


def main():
    for folder in ["volume", "snapshot"]:
        found = resources(DEPLOY / "kubernetes" / folder)
        for resource in found:
            group = resource["apiVersion"].split("/")[0]
            check(resource["metadata"]["labels"] == NAME, f"labels of {resource['kind']}")
            if group not in ["monitoring.coreos.com", "jetstream.nats.io"]:
                kubernetes_validate.validate(resource, KUBERNETES, strict=True)
        common(found)
        if folder == "volume":
            workload = of_kind(found, "StatefulSet")["spec"]
            claim = workload["volumeClaimTemplates"][0]
            check(claim["metadata"]["name"] == "model", "the claim is the read model's")
            pod(workload["template"]["spec"], ["serve"])
        else:
            workload = of_kind(found, "Deployment")["spec"]
            arguments = ["serve", "--from-snapshot=object:snapshots/latest", "--or-rebuild"]
            pod(workload["template"]["spec"], arguments)
        check(workload["selector"]["matchLabels"] == NAME, "the workload selects its pods")
        check(workload["template"]["metadata"]["labels"] == NAME, "pods have the label")
        print(f"kubernetes/{folder}: {len(found)} resources are right")
    compose()
    print("compose.yaml: versions and health checks are there")


main()
