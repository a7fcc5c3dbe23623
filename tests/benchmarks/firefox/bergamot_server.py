"""Runs Bergamot for `bergamot.py`, under the older Python that its wheel is for.

Arguments: the folder of the unpacked wheel and the configuration of Marian.  A line of stdin is a
JSON list of texts, which are translated at once; the line of stdout is that of their translations.
"""

import importlib.util
import json
import sys
from pathlib import Path


def main(wheel: Path, config: str) -> None:
    """Answers until stdin ends."""
    # The package's own __init__ asks the network for lists of models.
    (library,) = wheel.glob("bergamot/_bergamot*.so")
    spec = importlib.util.spec_from_file_location("_bergamot", library)
    assert spec is not None and spec.loader is not None
    bergamot = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bergamot)
    service = bergamot.Service(bergamot.ServiceConfig(numWorkers=1, cacheSize=0))
    model = service.modelFromConfig(config)
    options = bergamot.ResponseOptions(qualityScores=False, alignment=False, sentenceMappings=False)
    for line in sys.stdin:
        texts = bergamot.VectorString(json.loads(line))
        answers = service.translate(model, texts, options)
        sys.stdout.write(json.dumps([answer.target.text for answer in answers]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
