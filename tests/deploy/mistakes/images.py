"""Mistakes that policies/images.py has to find."""

from tests.deploy.mistakes.editing import Mistake, container

MISTAKES = (
    Mistake(
        "images.are_pinned",
        "seqway/gateway:latest is no certain version",
        lambda objects: container(objects, "gateway").update(image="seqway/gateway:latest"),
    ),
    Mistake(
        "images.are_built_here",
        "there is no Dockerfile for seqway/gatway",
        lambda objects: container(objects, "gateway").update(image="seqway/gatway:0.1.0"),
    ),
)
