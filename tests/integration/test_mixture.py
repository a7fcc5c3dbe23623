"""An answer depends neither on its neighbours nor on the order of arrival."""

import asyncio
import random
from dataclasses import dataclass
from typing import Any

from seqway import AsyncClient, GenerationOptions, Sampling

from tests.integration import texts
from tests.integration.test_tasks import read

ROUNDS = 2
CALLS = 72


@dataclass(frozen=True)
class Call:
    """One call: its task, text and options."""

    task: str
    text: str
    options: GenerationOptions | None

    async def run(self, client: AsyncClient) -> Any:
        """What identifies the answer: its text and tokens, or labels."""
        if self.task == "classify":
            answer = await client.classify(self.text, model="deb-section_fp32", timeout=200)
            labels = answer.classifications[0].labels
            return [(one.label, round(one.score, 3)) for one in labels[:3]]
        if self.task == "summarize":
            made = await client.summarize(
                self.text, model="deb-summary_fp32", options=self.options, timeout=200
            )
            summary = made.summaries[0]
            return summary.text, [one.text for one in summary.alternatives], summary.finish_reason
        done = await client.translate(
            self.text,
            source="en",
            target="fr",
            model="en-fr_fp32",
            options=self.options,
            timeout=200,
        )
        segments = done.translations[0].segments
        return done.text, [[one.text for one in each.alternatives] for each in segments]


def calls(seed: int) -> list[Call]:
    choice = random.Random(seed)
    sources = {
        "translate": texts.spread(120),
        "summarize": [row["source"] for row in read("deb-summary", 120)],
        "classify": [row["source"] for row in read("deb-section", 120)],
    }
    made = []
    for number in range(CALLS):
        task = choice.choice(["translate", "translate", "summarize", "classify"])
        made.append(Call(task, choice.choice(sources[task]), options(choice, number)))
    return made


def options(choice: random.Random, seed: int) -> GenerationOptions | None:
    kind = choice.choice(["default", "greedy", "beams", "sample", "sample"])
    if kind == "default":
        return None
    limits: dict[str, Any] = {
        "max_new_tokens": choice.choice([8, 24, 60]),
        "min_new_tokens": choice.choice([None, 4]),
        "no_repeat_ngram_size": choice.choice([None, 2, 3]),
        "repetition_penalty": choice.choice([None, 1.2]),
    }
    if kind == "greedy":
        return GenerationOptions(num_beams=1, **limits)
    if kind == "beams":
        beams = choice.randint(2, 6)
        return GenerationOptions(
            num_beams=beams,
            num_hypotheses=choice.randint(1, beams),
            length_penalty=choice.choice([0.5, 1.0, 2.0]),
            early_stopping=choice.choice([True, False, "never"]),
            **limits,
        )
    sampling = Sampling(
        temperature=choice.choice([0.5, 1.0]), top_k=choice.choice([0, 10]), top_p=0.9, seed=seed
    )
    return GenerationOptions(sampling=sampling, **limits)


async def test_mixed_calls_are_answered_as_each_alone(async_client: AsyncClient) -> None:
    made = calls(seed=7)
    alone = [await call.run(async_client) for call in made]
    for turn in range(ROUNDS):
        order = list(range(len(made)))
        random.Random(turn).shuffle(order)
        together = await asyncio.gather(*(made[index].run(async_client) for index in order))
        different = [
            (made[index], answer, alone[index])
            for index, answer in zip(order, together, strict=True)
            if answer != alone[index]
        ]
        # FP32 products of other batch sizes add in another order: an exact tie may fall otherwise.
        assert len(different) <= 1, different
