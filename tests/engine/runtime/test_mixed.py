"""Requests of all kinds in one running batch: each answers as it does alone."""

import json
import queue
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.contract.events import Delta, End, Event, FinishReason, Refused, encode_events
from engine.contract.options import Options
from engine.runtime.batch import run_texts
from engine.runtime.batching.scheduler import Limits
from engine.runtime.engine import Engine, Settings
from engine.runtime.request import Request
from tests.engine.conftest import read_sources
from tests.engine.runtime.conftest import Served

SECONDS = 120.0
TEXTS = [text for text in read_sources(400) if len(text) < 200]


def _options(chance: random.Random) -> Options:
    """Options of any kind."""
    method: dict[str, Any] = chance.choice(
        [
            {},
            {"num_beams": chance.randint(2, 8), "length_penalty": chance.choice([0.0, 1.0, 2.0])},
            {"sample": True, "seed": chance.randrange(2**64), "temperature": 1.2, "top_p": 0.95},
        ]
    )
    constraints: dict[str, Any] = {
        "no_repeat_ngram_size": chance.choice([0, 0, 2]),
        "repetition_penalty": chance.choice([1.0, 1.0, 1.2]),
        "min_new_tokens": chance.choice([0, 0, 4]),
        "max_new_tokens": chance.choice([5, 20, 60]),
        "target_prefix": chance.choice(["", "", "Le paquet"]),
        "alignment": chance.random() < 0.3,
        "token_log_probs": chance.random() < 0.3,
        "stream": chance.random() < 0.5,
    }
    hypotheses = chance.randint(1, method.get("num_beams", 1))
    return Options(**method, **constraints, num_hypotheses=hypotheses, token_ids=True)


def _comparable(events: list[Event]) -> dict[str, Any]:
    """What must not depend on company: all but times; numbers within rounding."""
    end = events[-1]
    assert isinstance(end, End)
    assert end.message == ""
    text = "".join(event.text for event in events if isinstance(event, Delta | End))
    return {
        "text": text,
        "tokens": end.token_ids,
        "reason": end.finish_reason,
        "links": [link[:4] for link in end.alignment],
        "others": [(other.text, other.token_ids) for other in end.alternatives],
        "score": pytest.approx(end.score, abs=2e-3),
    }


class Crowd:
    """Sends requests of one text each, and keeps their events apart."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.events: dict[str, list[Event]] = {}
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()

    def send(self, name: str, text: str, options: Options) -> None:
        collected = self.events[name] = []

        def sink(events: list[Event], last: bool) -> None:
            collected.extend(events)
            if last:
                self._ended.put(name)

        self.engine.submit(Request(name, [text], options, sink))

    def wait(self, count: int) -> None:
        for _ in range(count):
            self._ended.get(timeout=SECONDS)


@pytest.fixture(scope="module", params=[1, 2], ids=["one lane", "two lanes"])
def engine(request: pytest.FixtureRequest, trained: Served) -> Iterator[Engine]:
    limits = Limits(max_rows=20)
    running = Engine(trained.folder, Settings(request.param, limits=limits, stream_rate=1e6))
    running.start()
    yield running
    running.stop()


def test_sixty_requests_of_all_kinds_answer_as_each_does_alone(engine: Engine) -> None:
    chance = random.Random(8)
    asked = {f"r{index}": (chance.choice(TEXTS), _options(chance)) for index in range(60)}
    alone = Crowd(engine)
    for name, (text, options) in asked.items():
        alone.send(name, text, options)
        alone.wait(1)
    crowd, order = Crowd(engine), list(asked)
    chance.shuffle(order)
    leavers = [f"leaver{index}" for index in range(20)]
    for index, name in enumerate(order):
        crowd.send(name, *asked[name])
        if index % 3 == 0:
            crowd.send(leavers[index // 3], chance.choice(TEXTS), _options(chance))
        if index % 3 == 2:
            engine.cancel(leavers[index // 3])
    crowd.wait(80)
    for name in order:
        expected = _comparable(alone.events[name])
        score = expected.pop("score")
        made = _comparable(crowd.events[name])
        assert crowd.events[name][-1].score == score  # type: ignore[attr-defined]
        made.pop("score")
        assert made == expected, asked[name]
    _check_empty(engine)


def _check_empty(engine: Engine) -> None:
    for lane in engine.lanes:
        assert (lane.open_rows, lane.open_slots) == (0, 0)
        assert lane._running.rows == [] == lane._running._owners
        assert lane._running._slots.rows == 0
        assert lane._scheduler.running_slots == 0
        assert lane._scheduler.running_cost == 0


def test_rows_and_slots_know_each_other_at_every_step(
    trained: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(trained.folder, Settings(1, limits=Limits(max_rows=17)))
    running = engine.lanes[0]._running
    step, widest = running.step, 0

    def checked(*arguments: Any) -> Any:
        nonlocal widest
        taken = sorted(slot for row in running.rows for slot in row.slots)
        assert taken == list(range(running._slots.rows))
        assert all(running._owners[slot] is row for row in running.rows for slot in row.slots)
        assert all(len(row.slots) == row.width for row in running.rows)
        for row in running.rows:
            assert len(np.unique(running._slots.positions[row.slots])) == 1
        widest = max(widest, len(taken))
        return step(*arguments)

    monkeypatch.setattr(running, "step", checked)
    engine.start()
    chance, crowd = random.Random(2), Crowd(engine)
    for index in range(30):
        crowd.send(f"r{index}", chance.choice(TEXTS), _options(chance))
    crowd.wait(30)
    engine.stop()
    assert widest == 17
    assert all(isinstance(e[-1], End) and not e[-1].message for e in crowd.events.values())


def test_the_same_seed_is_the_same_answer_and_another_is_not(engine: Engine) -> None:
    texts = TEXTS[:8]
    first = Options(sample=True, seed=3, temperature=1.5, stream=False, max_new_tokens=30)
    made = [answer.text for answer in run_texts(engine, texts, first)]
    assert [answer.text for answer in run_texts(engine, texts, first)] == made
    other = [answer.text for answer in run_texts(engine, texts, replace(first, seed=4))]
    assert sum(a != b for a, b in zip(made, other, strict=True)) > 5


def test_a_list_of_seeds_frees_a_text_of_its_place_in_the_request(engine: Engine) -> None:
    options = Options(sample=True, temperature=1.5, stream=False, max_new_tokens=30)
    crowd = Crowd(engine)
    texts = [TEXTS[3], TEXTS[4]]
    both: list[Event] = []
    closed: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def sink(events: list[Event], last: bool) -> None:
        both.extend(events)
        if last:
            closed.put(True)

    engine.submit(Request("both", texts, replace(options, seed=[5, 6]), sink))
    closed.get(timeout=SECONDS)
    crowd.send("alone", texts[1], replace(options, seed=[6]))
    crowd.wait(1)
    (second,) = [event for event in both if isinstance(event, End) and event.index == 1]
    (alone,) = [event for event in crowd.events["alone"] if isinstance(event, End)]
    assert second.text == alone.text


def test_cancelled_and_late_beams_free_all_their_slots(engine: Engine) -> None:
    crowd = Crowd(engine)
    for index in range(8):
        late = {"deadline_ms": 1} if index % 2 else {}
        crowd.send(f"beams{index}", TEXTS[index], Options(num_beams=8, **late))
        engine.cancel(f"beams{index}")
    crowd.wait(8)
    reasons = {e.finish_reason for es in crowd.events.values() for e in es if isinstance(e, End)}
    assert FinishReason.CANCELLED in reasons
    _check_empty(engine)


def test_a_failing_step_ends_beams_with_error_and_the_engine_lives_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of luck")

    crowd, options = Crowd(engine), Options(num_beams=4, stream=False)
    with monkeypatch.context() as patch:
        for lane in engine.lanes:
            patch.setattr(lane._session, "step", fail)
        crowd.send("unlucky", TEXTS[0], options)
        crowd.wait(1)
    (end,) = crowd.events["unlucky"]
    assert isinstance(end, End)
    assert (end.finish_reason, "out of luck" in end.message) == (FinishReason.ERROR, True)
    assert run_texts(engine, TEXTS[:2], options)[0].end.message == ""
    _check_empty(engine)


def test_beam_streams_send_only_what_stays(engine: Engine) -> None:
    crowd = Crowd(engine)
    deltas = 0
    for index, text in enumerate(TEXTS[:12]):
        options = Options(num_beams=4, stream=True)
        crowd.send(f"stream{index}", text, options)
        crowd.wait(1)
        whole = run_texts(engine, [text], replace(options, stream=False))[0].text
        events = crowd.events[f"stream{index}"]
        assert "".join(e.text for e in events if isinstance(e, Delta | End)) == whole
        deltas += sum(isinstance(event, Delta) for event in events)
    assert deltas > 12


@pytest.mark.parametrize("beams", [1, 4])
def test_links_cover_the_answer_and_point_into_the_text(engine: Engine, beams: int) -> None:
    for text in TEXTS[:10]:
        options = Options(num_beams=beams, alignment=True, stream=False)
        (answer,) = run_texts(engine, [text], options)
        covered = "".join(answer.text[start:end] for start, end, *_ in answer.end.alignment)
        assert covered == answer.text
        for _, _, start, end, weight in answer.end.alignment:
            assert 0 <= start < end <= len(text)
            assert 0 < weight <= 1


def test_names_align_with_themselves(engine: Engine) -> None:
    """A word that stays as it is comes from itself, mostly: alignment is no fiction."""
    text = "This package provides the documentation for libreoffice and python."
    (answer,) = run_texts(engine, [text], Options(alignment=True, stream=False))
    for name in ("libreoffice", "python"):
        place = answer.text.find(name)
        assert place >= 0, answer.text
        sources = [
            (start, end)
            for t_start, t_end, start, end, _ in answer.end.alignment
            if t_start < place + len(name) and t_end > place
        ]
        first = text.index(name)
        inside = [s for s in sources if s[0] < first + len(name) and s[1] > first]
        assert len(inside) * 2 >= len(sources), (name, answer)


def test_requests_that_do_not_fit_are_refused(engine: Engine, untrained: Served) -> None:
    crowd = Crowd(engine)
    crowd.send("contradiction", "text", Options(sample=True, num_beams=2))
    crowd.send("prefixes", "text", Options(target_prefix=["a", "b"]))
    crowd.send("long prefix", "text", Options(target_prefix="word " * 2000))
    messages = [event.message for (event,) in crowd.events.values() if isinstance(event, Refused)]
    assert messages[0].startswith("sample can't be combined")
    assert messages[1] == "target_prefix has 2 entries for 1 texts"
    assert messages[2].startswith("target_prefix of text 0 has")
    narrow = Crowd(Engine(untrained.folder, Settings(1, limits=Limits(max_rows=4))))
    narrow.send("wide", "text", Options(num_beams=8))
    (refused,) = narrow.events["wide"]
    assert isinstance(refused, Refused)
    assert refused.message == "num_beams is 8, and this engine has room for 4"


def test_events_are_plain_json(engine: Engine) -> None:
    crowd = Crowd(engine)
    options = Options(
        num_beams=3, num_hypotheses=2, alignment=True, token_log_probs=True, token_ids=True
    )
    crowd.send("all", TEXTS[0], options)
    crowd.wait(1)
    end = crowd.events["all"][-1]
    sent = json.loads(encode_events([end]))[0]
    assert set(sent) == {field.encode_name for field in msgspec.structs.fields(end)} | {"type"}
    assert set(sent["alternatives"][0]) >= {"text", "score", "log_prob", "token_ids", "tokens"}
    assert len(sent["tokens"][0]) == 3
    assert len(sent["alignment"][0]) == 5
