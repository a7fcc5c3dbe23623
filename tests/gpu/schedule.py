"""What the check does, in the order of how much is lost without it; importable without torch."""

from tests.gpu.supervisor import Phase

KERNELS_FILE = "kernels.csv"
"""Which kernels a step is made of, in the folder of results."""

_HERE = "tests.gpu.phases"
FUNCTIONS = {
    "environment": f"{_HERE}.environment:environment",
    "kernels": f"{_HERE}.kernels:kernels",
    "correctness": f"{_HERE}.correctness:correctness",
    "speed": f"{_HERE}.speed:speed",
    "ctranslate2": f"{_HERE}.peers:ctranslate2",
    "saturation": f"{_HERE}.saturation:saturation",
    "bart_large": f"{_HERE}.bart_large:bart_large",
    "profile": f"{_HERE}.speed:profile",
    "backend": f"{_HERE}.backend:backend",
    "transformers_eager": f"{_HERE}.peers:transformers_eager",
    "transformers_static": f"{_HERE}.peers:transformers_static",
    "transformers_compiled": f"{_HERE}.peers:transformers_compiled",
}
"""Each by its module and name."""

ON_GPU = [
    Phase("environment", 45, "kernels"),
    Phase("kernels", 45, "kernels"),
    Phase("correctness", 75, "correctness"),
    Phase("speed", 60, "speed"),
    Phase("ctranslate2", 40, "ctranslate2"),
    Phase("saturation", 75, "load"),
    Phase("bart_large", 45, "load"),
    Phase("profile", 30, "profile"),
    Phase("backend", 30, "backend"),
    Phase("transformers_eager", 30, "transformers"),
    Phase("transformers_static", 30, "transformers"),
    Phase("transformers_compiled", 100, "compiled"),
]
"""Together they may take more than there is: those that come last get what is left."""

ON_PROCESSOR = [Phase(one, 600, "all") for one in FUNCTIONS if one != "transformers_compiled"]
