"""The examples of docs/clients.md run, one after the other, as a reader would run them."""

import re
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.sdk.server import FakeServer

CLIENTS = Path(__file__).resolve().parents[2] / "docs" / "clients.md"


@pytest.mark.usefixtures("environment")
def test_the_examples_run(
    server: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "terms.tsv").write_text("window\tfenêtre\n")
    authority = trustme.CA()
    leaf = authority.issue_cert("caller")
    authority.cert_pem.write_to_path("ca.pem")
    leaf.cert_chain_pems[0].write_to_path("client.pem")
    leaf.private_key_pem.write_to_path("client.key")
    examples = re.findall(r"^```python\n(.*?)^```", CLIENTS.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    for example in examples:
        exec(compile(example, str(CLIENTS), "exec"), names)
    names["client"].close()
    shown = capsys.readouterr().out
    assert "A SMALL TEXT EDITOR. en-fr_int8 1.5" in shown
    assert "editor → " in shown
    for fake in (server.translation, server.summarization, server.classification):
        assert len(fake.requests) > 1
    assert len(server.question_answering.requests) == 1
    assert [dict(spec.labels) for spec in server.jobs.specs] == [{"from": "docs"}]
    assert "SUCCEEDED 2 of 2" in shown
