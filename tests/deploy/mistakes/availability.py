"""Mistakes that policies/availability.py has to find."""

from tests.deploy.mistakes.editing import Mistake, find, pod, without
from tests.deploy.rendering import Object


def _batch_above(objects: list[Object]) -> None:
    find(objects, "PriorityClass", "seqway-batch")["value"] = 10**6


MISTAKES = (
    Mistake(
        "availability.have_disruption_budgets",
        "Deployment seqway-triton has no PodDisruptionBudget",
        without("PodDisruptionBudget", "seqway-triton"),
    ),
    Mistake(
        "availability.have_disruption_budgets",
        "PodDisruptionBudget seqway-worker selects no pod",
        lambda objects: find(objects, "PodDisruptionBudget", "seqway-worker")["spec"].update(
            selector={"matchLabels": {"app.kubernetes.io/name": "workers"}}
        ),
    ),
    Mistake(
        "availability.select_their_own_pods",
        "Deployment seqway-worker selects []",
        lambda objects: find(objects, "Deployment", "seqway-worker")["spec"].update(
            selector={"matchLabels": {"app": "worker"}}
        ),
    ),
    Mistake(
        "availability.spread",
        "Deployment seqway-gateway may have all its pods on one node",
        lambda objects: pod(objects, "gateway").pop("topologySpreadConstraints"),
    ),
    Mistake(
        "availability.come_before_batch",
        "batch work has the priority of interactive work, or more",
        _batch_above,
    ),
    Mistake(
        "availability.update_within_their_gpus",
        "wants one more GPU while it is updated",
        lambda objects: find(objects, "Deployment", "seqway-triton")["spec"]["strategy"][
            "rollingUpdate"
        ].update(maxSurge=1),
    ),
    Mistake(
        "availability.update_within_their_gpus",
        "Deployment seqway-triton has no Job that builds plans for its GPU",
        lambda objects: pod(objects, "engine-build-h100", "Job").update(
            nodeSelector={"nvidia.com/gpu.product": "NVIDIA-L4"}
        ),
    ),
    Mistake(
        "availability.have_no_tokens",
        "Deployment seqway-gateway has a token of its ServiceAccount",
        lambda objects: pod(objects, "gateway").pop("automountServiceAccountToken"),
    ),
    Mistake(
        "availability.are_in_a_restricted_namespace",
        "Namespace seqway is not restricted",
        lambda objects: find(objects, "Namespace", "seqway")["metadata"]["labels"].update(
            {"pod-security.kubernetes.io/enforce": "baseline"}
        ),
    ),
)
