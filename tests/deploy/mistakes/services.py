"""Mistakes that policies/services.py has to find."""

from tests.deploy.mistakes.editing import Mistake, find

MISTAKES = (
    Mistake(
        "services.select_pods",
        "Service seqway-triton selects no pod",
        lambda objects: find(objects, "Service", "seqway-triton")["spec"].update(
            selector={"app": "none"}
        ),
    ),
    Mistake(
        "services.have_target_ports",
        "Service seqway-triton: Deployment seqway-triton has no port http",
        lambda objects: find(objects, "Service", "seqway-triton")["spec"]["ports"][0].update(
            targetPort="http"
        ),
    ),
    Mistake(
        "services.are_headless",
        "Service seqway-gateway is not headless",
        lambda objects: find(objects, "Service", "seqway-gateway")["spec"].pop("clusterIP"),
    ),
    Mistake(
        "services.are_headless",
        "its pods listen on 8001, not 9001",
        lambda objects: find(objects, "Service", "seqway-triton")["spec"]["ports"][0].update(
            port=9001
        ),
    ),
)
