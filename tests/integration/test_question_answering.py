"""Questions through the real stack; the models are small and random, so only the form is known."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from seqway import Client, InvalidRequestError
from typer.testing import CliRunner

from deploy.local.assembly import running_stack
from deploy.local.ports import HOST
from deploy.local.settings import StackSettings
from engine.cli import app
from tests.engine.model import encoder_checkpoints, seq2seq_checkpoints
from tests.integration import texts

QUESTION = "What is small?"
CONTEXT = "This is a text editor. It is small and fast. It comes with a manual."


@pytest.fixture(scope="module")
def asking(settings: StackSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    root = tmp_path_factory.mktemp("question-answering")
    encoder_checkpoints.FAMILIES["bert"](root / "finder", "spans", 2)
    seq2seq_checkpoints.FAMILIES["t5"](root / "writer", 2)
    template = "question: {question} context: {context}"
    for name, more in (("finder", []), ("writer", ["--template", template])):
        arguments = ["import", str(root / name), "--task", "question-answering", *more]
        arguments += ["--precision", "fp32", "--model-repository", str(root / "repository")]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    own = replace(settings, model_repository=root / "repository")
    with (
        running_stack(own) as stack,
        Client(f"{HOST}:{stack.ports.gateway.number}", timeout=120) as client,
    ):
        yield client


def test_finds_answers_in_the_context(asking: Client) -> None:
    result = asking.ask(QUESTION, context=CONTEXT, model="finder", top_k=3)
    assert 1 <= len(result.answers) <= 3
    for answer in result.answers:
        assert answer.extracted
        assert answer.text == CONTEXT[answer.start : answer.end]
        assert 0 <= answer.score <= 1
    assert result.windows == 1


def test_a_long_context_is_read_in_windows(asking: Client) -> None:
    context = "\n".join(texts.spread(40))
    result = asking.ask(QUESTION, context=context, model="finder")
    assert result.windows > 10
    assert result.warnings
    [answer] = result.answers
    assert answer.text == context[answer.start : answer.end]


def test_writes_an_answer(asking: Client) -> None:
    result = asking.ask(QUESTION, context=CONTEXT, model="writer", max_new_tokens=12)
    [answer] = result.answers
    assert not answer.extracted
    assert 0 <= answer.score <= 1
    assert result.token_counts.output <= 12


def test_what_is_missing_is_named(asking: Client) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        asking.ask("", context=CONTEXT, model="finder")
    assert raised.value.field == "question"
