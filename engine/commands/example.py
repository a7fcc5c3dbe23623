"""A line of the `seqway` command line that shows what a model does."""

from engine.contract.manifest import Manifest

_SENTENCE = "A small and fast text editor."
_PARAGRAPH = (
    "The harbour was empty when they arrived. A single boat lay against the wall, and on its deck "
    "a man was mending a net. There had been a ferry to the island until last winter, he said. Now "
    "there was only him, and he went when the tide was right."
)
_QUESTION = "What was the man mending?"
_PROTEIN = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVV"


def example_command(manifest: Manifest) -> list[str]:
    """The verb and its arguments, without the address."""
    model = ["--model", manifest.base_model]
    match manifest.task:
        case "translation":
            source, target = manifest.example_languages
            return ["translate", "--from", source, "--to", target, *model, "--stream", _SENTENCE]
        case "summarization":
            return ["summarize", *model, "--stream", _PARAGRAPH]
        case "classification":
            return ["classify", *model, _PROTEIN if manifest.family == "esm" else _SENTENCE]
        case "question-answering":
            return ["ask", _QUESTION, "--context", _PARAGRAPH, *model]
