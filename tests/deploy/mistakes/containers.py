"""Mistakes that policies/containers.py has to find."""

from tests.deploy.mistakes.editing import Mistake, container, pod

MISTAKES = (
    Mistake(
        "containers.have_requests_and_limits",
        "container gateway has no memory in its limits",
        lambda objects: container(objects, "gateway")["resources"]["limits"].pop("memory"),
    ),
    Mistake(
        "containers.are_not_root",
        "container gateway may run as root",
        lambda objects: pod(objects, "gateway")["securityContext"].update(runAsUser=0),
    ),
    Mistake(
        "containers.are_not_root",
        "container worker may run as root",
        lambda objects: container(objects, "worker")["securityContext"].update(runAsNonRoot=False),
    ),
    Mistake(
        "containers.have_no_rights",
        "container triton does not drop all capabilities",
        lambda objects: container(objects, "triton")["securityContext"].pop("capabilities"),
    ),
    Mistake(
        "containers.have_no_rights",
        "uses hostPath of its host",
        lambda objects: pod(objects, "worker")["volumes"].append(
            {"name": "host", "hostPath": {"path": "/"}}
        ),
    ),
    Mistake(
        "containers.write_only_to_volumes",
        "container worker can write to its root",
        lambda objects: container(objects, "worker")["securityContext"].update(
            readOnlyRootFilesystem=False
        ),
    ),
    Mistake(
        "containers.have_probes",
        "container worker has no livenessProbe",
        lambda objects: container(objects, "worker").pop("livenessProbe"),
    ),
    Mistake(
        "containers.have_probes",
        "its readinessProbe asks a port that it does not have",
        lambda objects: container(objects, "gateway")["readinessProbe"]["grpc"].update(port=50053),
    ),
    Mistake(
        "containers.have_probes",
        "its readinessProbe asks for no service of the health port",
        lambda objects: container(objects, "gateway")["readinessProbe"]["grpc"].pop("service"),
    ),
    Mistake(
        "containers.ask_models_of_triton",
        "its readinessProbe does not ask the models",
        lambda objects: container(objects, "triton").update(
            readinessProbe={"httpGet": {"path": "/v2/health/ready", "port": 8000}}
        ),
    ),
    Mistake(
        "containers.ask_models_of_triton",
        "serves nothing when one model can't be loaded",
        lambda objects: container(objects, "triton")["args"].remove("--exit-on-error=false"),
    ),
)
