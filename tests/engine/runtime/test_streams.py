import math

import numpy as np
import pytest

from engine.contract.events import Delta, Event
from engine.contract.options import Options
from engine.runtime.answer import Streams
from engine.runtime.batching.lane import Gauges
from engine.runtime.decoding.greedy import GreedySearch
from engine.runtime.engine import total
from engine.runtime.request import Request, Row, RowPlan, RowProgress
from engine.runtime.text.detokenizer import Detokenizer

LETTERS = [bytes([letter]) for letter in range(128)]


def _request(sent: list[list[Event]], *, stream: bool = True) -> Request:
    sink = lambda events, last: sent.append(events)  # noqa: E731
    request = Request("id", ["text"], Options(stream=stream), sink)
    request.open_rows = 9
    return request


def _row(request: Request, index: int = 0) -> Row:
    progress = RowProgress(Detokenizer(LETTERS))
    return Row(request, index, RowPlan([5], 10, arrived=0.0), GreedySearch(0), progress)


def _tokens(text: str) -> np.ndarray:
    return np.array([ord(letter) for letter in text])


def test_each_stream_is_sent_what_is_new_in_one_message_a_request() -> None:
    sent: list[list[Event]] = []
    request = _request(sent)
    rows = [_row(request, index) for index in range(2)]
    streams = Streams(rate=1.0)
    streams.send(rows, [_tokens("ab"), _tokens("x")], 5.0)
    streams.send(rows, [_tokens("abc"), _tokens("x")], 6.0)
    assert sent == [[Delta(0, "ab"), Delta(1, "x")], [Delta(0, "c")]]
    assert request.last_flush == 6.0


def test_more_streams_are_each_sent_less_often() -> None:
    first, second = _row(_request([])), _row(_request([]))
    streams = Streams(rate=2.0)
    first.request.last_flush = second.request.last_flush = 10.0
    assert streams.due([first], 10.4) == []
    assert streams.due([first], 10.6) == [first]
    assert streams.due([first, second], 10.6) == []
    assert streams.due([first, second], 11.0) == [first, second]


def test_nothing_new_is_no_message() -> None:
    sent: list[list[Event]] = []
    row = _row(_request(sent))
    Streams(rate=1.0).send([row], [_tokens("")], 5.0)
    assert (sent, row.request.last_flush) == ([], 0.0)


def test_gauges_are_summed_but_for_first_token_times() -> None:
    one, other = Gauges(running=1, tokens=5, run_seconds=0.5), Gauges(running=2, tokens=7)
    one.first_token_seconds.append(0.1)
    summed = total([one, other])
    assert (summed.running, summed.tokens, summed.run_seconds) == (3, 12, 0.5)
    assert not summed.first_token_seconds


def test_a_session_comes_back_when_the_next_message_may_be_sent() -> None:
    first, second = _row(_request([])), _row(_request([]))
    streams = Streams(rate=2.0)
    first.request.last_flush, second.request.last_flush = 10.0, 10.2
    assert streams.patience([], 10.4) == math.inf
    assert streams.patience([first], 10.4) == pytest.approx(0.1)
    assert streams.patience([first, second], 10.4) == pytest.approx(0.6)
    assert streams.patience([first], 12.0) == 0
