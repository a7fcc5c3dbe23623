"""`transformers` generate, greedy, in batches of what is in flight."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from tests.benchmarks.systems.system import Answer, WarmedUp


class Transformers(WarmedUp):
    """FP32 or BF16."""

    slow = True

    def __init__(self, checkpoint: Path, dtype: torch.dtype = torch.float32) -> None:
        self.name = f"transformers {'bf16' if dtype == torch.bfloat16 else 'fp32'}"
        self._tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self._plain = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
        self._model = AutoModelForSeq2SeqLM.from_pretrained(checkpoint, dtype=dtype).eval()
        self._model.generation_config.max_length = None  # else it warns of every call
        self._padding: dict[str, int] = {}

    @torch.inference_mode()
    def run(self, texts: list[str], in_flight: int, max_new_tokens: int) -> list[Answer]:
        """See `System`."""
        answers = []
        for start in range(0, len(texts), in_flight):
            batch = self._tokenizer(
                texts[start : start + in_flight],
                return_tensors="pt",
                padding=True,
                **self._padding,
            )
            made = self._generate(batch["input_ids"], batch["attention_mask"], max_new_tokens)
            answers += [self._answer(row) for row in made[:, 1:].tolist()]
        return answers

    def _generate(self, ids: torch.Tensor, mask: torch.Tensor, max_new_tokens: int) -> torch.Tensor:
        made: torch.Tensor = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            num_beams=1,
            do_sample=False,
            max_new_tokens=max_new_tokens,
        )
        return made

    def _answer(self, row: list[int]) -> Answer:
        end = self._model.generation_config.eos_token_id
        length = row.index(end) + 1 if end in row else len(row)
        return Answer(self._plain.decode(row[:length], skip_special_tokens=True), length)


class CompiledTransformers(Transformers):
    """FP32 by torch.compile, with a static cache: sources and batches have few sizes.

    It compiles anew for every number of texts in flight, which takes a minute or so each.
    """

    def __init__(self, checkpoint: Path) -> None:
        super().__init__(checkpoint)
        self.name = "transformers fp32, compiled"
        self._padding = {"pad_to_multiple_of": 64}
        self._model.generation_config.cache_implementation = "static"
        self._model.forward = torch.compile(self._model.forward, dynamic=False)
        torch._dynamo.config.recompile_limit = 64

    def prepare(self, texts: list[str], in_flight: int, max_new_tokens: int) -> None:
        """See `System`: the first run compiles, and the second settles what it guards."""
        for _ in range(2):
            self.run(texts[:in_flight], in_flight, max_new_tokens)

    def run(self, texts: list[str], in_flight: int, max_new_tokens: int) -> list[Answer]:
        """See `System`; a last batch is filled up with texts that are dropped."""
        filler = [texts[0]] * (-len(texts) % in_flight)
        return super().run([*texts, *filler], in_flight, max_new_tokens)[: len(texts)]
