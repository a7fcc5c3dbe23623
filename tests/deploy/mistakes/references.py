"""Mistakes that policies/references.py has to find."""

from tests.deploy.mistakes.editing import Mistake, container, pod, without

MISTAKES = (
    Mistake(
        "references.exist",
        "names ServiceAccount seqway-none, which is not there",
        lambda objects: pod(objects, "gateway").update(serviceAccountName="seqway-none"),
    ),
    Mistake(
        "references.exist",
        "names Secret undocumented, which is not there",
        lambda objects: pod(objects, "gateway")["volumes"].append(
            {"name": "more", "secret": {"secretName": "undocumented"}}
        ),
    ),
    Mistake(
        "references.are_used",
        "ServiceAccount seqway-worker is named by nobody",
        lambda objects: pod(objects, "worker").update(serviceAccountName="seqway-gateway"),
    ),
    Mistake(
        "references.mount_volumes",
        "mounts data, which it does not have",
        lambda objects: container(objects, "worker")["volumeMounts"].append(
            {"name": "data", "mountPath": "/data"}
        ),
    ),
    Mistake(
        "references.share_certificates",
        "names an Issuer that is not there",
        without("Issuer", "seqway"),
    ),
    Mistake(
        "references.share_certificates",
        "seqway names Secret seqway-authority, which nobody issues",
        without("Certificate", "seqway-authority"),
    ),
)
