"""What can be read from the Dockerfiles."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.bundle import Bundle
from tests.deploy.policies.images import project_version
from tests.deploy.rendering import KUBERNETES, ROOT, overlay_objects
from tests.deploy.scratch import cache_folder, instructions

IMAGES = ROOT / "deploy" / "images"
NAMES = sorted(path.stem for path in IMAGES.glob("*.Dockerfile"))
_PINNED = re.compile(r"[\w./-]+:\d+[.\d]*-[\w-]+( AS (native|build))?$")


def test_hadolint_has_nothing_to_say() -> None:
    program = Path(sys.executable).with_name("hadolint")
    files = sorted(map(str, IMAGES.glob("*.Dockerfile")))
    done = subprocess.run([program, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_pinned_has_a_numeric_user_and_says_what_it_is(name: str) -> None:
    steps = instructions(name)
    bases = [value for instruction, value in steps if instruction == "FROM"]
    assert len(bases) == (3 if _has_the_engine(name) else 2)
    assert all(_PINNED.match(one) for one in bases), bases
    assert ("USER", "10001:10001") in steps
    labels = next(value for instruction, value in steps if instruction == "LABEL")
    assert f'org.opencontainers.image.version="{project_version()}"' in labels
    assert {"HEALTHCHECK", "ENTRYPOINT"} <= {instruction for instruction, _ in steps}


def _has_the_engine(name: str) -> bool:
    """Whether it is more than `engine/contract`."""
    return any(
        instruction == "COPY" and value.split()[0] == "engine"
        for instruction, value in instructions(name)
    )


@pytest.mark.parametrize("name", [name for name in NAMES if _has_the_engine(name)])
def test_the_native_library_lies_beside_the_engine(name: str) -> None:
    steps = instructions(name)
    (compiled,) = [value for instruction, value in steps if "engine.native.build" in value]
    library = compiled.partition("--output ")[2]
    assert ("COPY", f"--from=native {library} {library}") in steps
    assert library.endswith("/engine/native/libseqway.so")


def test_no_image_takes_a_library_of_this_machine() -> None:
    """Nor what else git ignores of the engine."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"**/*libseqway.*", "**/__pycache__", "**/*.egg-info"} <= set(ignored)


@pytest.mark.parametrize("name", NAMES)
def test_what_an_image_copies_is_in_the_context(name: str) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [one[1:].rstrip("/") for one in ignored if one.startswith("!")]
    for instruction, value in instructions(name):
        if instruction == "COPY" and not value.startswith("--from"):
            for source in value.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert any(f"{source}/".startswith(f"{one}/") for one in kept), source


@pytest.mark.parametrize("name", NAMES)
def test_every_package_is_pinned(name: str) -> None:
    """By a version, by constraints.txt, or by a file of requirements that pins each."""
    for instruction, value in instructions(name):
        if instruction != "RUN" or "pip" not in value or "install" not in value:
            continue
        if "-c constraints.txt" in value:
            continue
        words = value.partition("install")[2].split()
        files = [words[i + 1] for i, word in enumerate(words) if word == "-r"]
        for file in files:
            path = next(p for p in (IMAGES / file, ROOT / "deploy" / "local" / file) if p.exists())
            lines = [one for one in path.read_text().splitlines() if one[:1] not in ("#", "-", "")]
            assert lines and all("==" in one for one in lines)
        assert files or any("==" in word for word in words), value


def _pins(*files: str) -> list[tuple[str, str]]:
    """Name and version of each package that the files pin."""
    text = "\n".join((ROOT / "deploy" / file).read_text() for file in files)
    return re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE)


def test_the_environments_for_gpus_install_one_version_of_a_package() -> None:
    files = ("local/triton-requirements.txt", "local/torch-requirements.txt")
    pins = _pins(*files, "images/tensorrt-requirements.txt")
    assert len(set(pins)) == len(dict(pins))
    (torch,) = re.findall(r"^TORCH := torch==(\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert dict(pins)["torch"] == torch
    assert {"triton", "nvidia-cublas", "numpy"} <= dict(pins).keys()


def test_the_image_for_gpus_brings_what_kernels_are_compiled_with() -> None:
    steps = instructions("triton-gpu")
    last = max(number for number, (instruction, _) in enumerate(steps) if instruction == "FROM")
    system = [value for instruction, value in steps[last:] if instruction == "RUN"]
    assert any({"gcc", "libc6-dev", "libpython3.12-dev"} <= set(one.split()) for one in system)
    (installs,) = [value for _, value in steps[:last] if "pip --python" in value]
    assert "-r torch-requirements.txt" in installs
    owned = f"--from=build --chown=10001:10001 /empty {cache_folder('triton-gpu')}"
    assert ("COPY", owned) in steps
    assert ("ENTRYPOINT", '["seqway-triton-gpu"]') in steps


@pytest.mark.parametrize("overlay", ["gpu-l4", "gpu-a100", "gpu-h100"])
def test_a_pod_with_a_gpu_has_time_and_room_to_compile_kernels(overlay: str) -> None:
    bundle = Bundle(overlay_objects(overlay))
    triton = next(one for one in bundle.containers if one.spec["name"] == "triton")
    mounts = {one["mountPath"]: one["name"] for one in triton.spec["volumeMounts"]}
    assert "emptyDir" in triton.pod.volume(mounts[cache_folder(triton.image)])
    probe = triton.spec["startupProbe"]
    seconds = probe["periodSeconds"] * probe["failureThreshold"]
    assert 1200 <= seconds < triton.pod.owner["spec"]["progressDeadlineSeconds"]


@pytest.mark.parametrize("overlay", ["gpu-l4", "gpu-a100", "gpu-h100"])
def test_plans_are_awaited_of_the_tensorrt_that_builds_them(overlay: str) -> None:
    requirements = (IMAGES / "tensorrt-requirements.txt").read_text()
    versions = set(re.findall(r"^tensorrt\S*==(\S+)$", requirements, re.MULTILINE))
    assert len(versions) == 1
    bundle = Bundle(overlay_objects(overlay))
    waits = next(one for one in bundle.containers if one.spec["name"] == "plans")
    assert {bundle.environment(waits)["TENSORRT_VERSION"]} == versions


def test_the_development_environment_has_the_same_tensorrt() -> None:
    requirements = (IMAGES / "tensorrt-requirements.txt").read_text()
    pins = set(re.findall(r"^(tensorrt-cu13-bindings==\S+)$", requirements, re.MULTILINE))
    assert pins <= set((ROOT / "constraints.txt").read_text().split())


def test_commands_of_the_manifests_are_in_their_images() -> None:
    """Each `seqway-...` that a container runs is copied to its image, or is installed there."""
    installed = {"seqway-models", "seqway-gateway"}
    bundle = Bundle(overlay_objects("gpu-l4", ["s3"]))
    for container in bundle.containers:
        if not container.spec["image"].startswith("seqway/"):
            continue
        copied = {
            Path(word).name
            for instruction, value in instructions(container.image)
            if instruction == "COPY"
            for word in value.split()
        }
        wanted = set(
            re.findall(
                r"\bseqway-(?:plans|model-store|heartbeat|triton-probe|triton)\b(?!/)",
                str(container.spec.get("command", []))
                + str(container.spec.get("livenessProbe", "")),
            )
        )
        assert wanted <= copied | installed, container.title


def test_manifests_need_no_file_outside_of_their_folder() -> None:
    """So that the folder can be used as a remote base by somebody's own overlay."""
    files = KUBERNETES.rglob("kustomization.yaml")
    assert not any("../../.." in path.read_text() for path in files)
