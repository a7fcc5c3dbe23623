"""A real Prometheus scrapes the real stack, and its alerts fire on real faults."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event

import pytest
from seqway import Client, OverloadedError, SeqwayError

from tests.faults.stack import BrokenStack, wait_until
from tests.monitoring.conftest import WINDOW
from tests.monitoring.prometheus import Prometheus
from tests.monitoring.rules import alert_rules, dashboard_queries, metric_names

_PATIENCE = 60.0
_JOBS = {"seqway-gateway", "seqway-triton", "seqway-worker", "seqway-controller"}
# An empty line of a query is right where nothing of the kind has happened.
_MAY_BE_EMPTY = ("limit_bytes",)


@pytest.fixture
def whole(observed: BrokenStack, prometheus: Prometheus) -> Iterator[BrokenStack]:
    """Everything is up and no alert fires, before the test and behind it."""
    wait_until_whole(prometheus)
    yield observed
    observed.restore()
    wait_until_whole(prometheus)


def wait_until_whole(prometheus: Prometheus) -> None:
    wait_until(lambda: prometheus.up() == _JOBS, "every target is up", _PATIENCE)
    wait_until(lambda: not prometheus.firing(), "the alerts are resolved", _PATIENCE)


OF_GROUPS = {"seqway_group_restarts", "seqway_groups_live", "seqway_rows_rerun"}
"""No variant of this stack has groups; `tests/faults/test_lost_group.py` reads these."""


@contextmanager
def calling(stack: BrokenStack) -> Iterator[None]:
    """Somebody calls all the time, and tries again when a call fails."""
    left = Event()

    def call() -> None:
        while not left.wait(0.1):
            with suppress(SeqwayError):
                stack.client.translate("A text editor.", source="en", target="fr")

    with ThreadPoolExecutor(1) as pool:
        caller = pool.submit(call)
        try:
            yield
        finally:
            left.set()
        caller.result()


def wait_for(prometheus: Prometheus, *alerts: str) -> None:
    wait_until(lambda: set(alerts) <= prometheus.firing(), f"{', '.join(alerts)} fire", _PATIENCE)


def test_every_metric_that_is_asked_for_has_samples(
    whole: BrokenStack, prometheus: Prometheus
) -> None:
    job = whole.submit(300)
    with Client(whole.client.address, tenant="limited") as limited, pytest.raises(OverloadedError):
        for _ in range(2):
            limited.list_models()
    list(whole.client.stream_translate("A small text editor.", source="en", target="fr"))
    whole.client.classify("A game for children.")
    whole.check(job)
    done = 'sum(seqway_worker_lines_total{status="succeeded"})'

    def are_counted() -> bool:
        found = prometheus.query(done)
        return bool(found) and float(found[0]["value"][1]) == 300

    wait_until(are_counted, "lines are counted")
    names = metric_names() - OF_GROUPS
    assert len(names) > 40

    def without_samples() -> list[str]:
        return [name for name in sorted(names) if not prometheus.has_samples(name)]

    wait_until(lambda: not without_samples(), f"there are samples of {without_samples()}")


def test_every_query_of_the_dashboard_has_an_answer(
    whole: BrokenStack, prometheus: Prometheus
) -> None:
    queries = [query.replace("$__rate_interval", WINDOW) for query in dashboard_queries()]
    queries = [query for query in queries if not any(name in query for name in _MAY_BE_EMPTY)]

    def unanswered() -> list[str]:
        return [query for query in queries if not prometheus.query(query)]

    with calling(whole):
        wait_until(lambda: not unanswered(), f"queries are answered: {unanswered()}", _PATIENCE)


def test_alerts_of_a_triton_and_workers_that_are_gone(
    whole: BrokenStack, prometheus: Prometheus
) -> None:
    job = whole.submit_and_start(4000)
    with calling(whole):
        whole.kill_service("triton")
        wait_for(
            prometheus, "SeqwayTritonDown", "SeqwayServiceNotServing", "SeqwayCallsUnavailable"
        )
        whole.kill_service("worker")
        wait_for(prometheus, "SeqwayWorkersDown", "SeqwayBatchesStalled")
    whole.restore()
    whole.check(job)


def test_rows_and_steps_of_an_instance_are_found_together(
    whole: BrokenStack, prometheus: Prometheus
) -> None:
    """Both sides of SeqwayEngineStuck have the same labels; their bounds are promtool's to test."""
    [expression] = [rule["expr"] for rule in alert_rules() if rule["alert"] == "SeqwayEngineStuck"]
    always = expression.replace("> 0", ">= 0").replace("== 0", ">= 0")
    assert always != expression

    def is_found() -> bool:
        # An instance whose last scrape took too long has no line.
        return [one["metric"]["model"] for one in prometheus.query(always)] == ["en-fr_int8"]

    wait_until(is_found, "rows and steps have the same labels")


def test_alerts_of_a_redis_a_controller_and_a_gateway_that_are_gone(
    whole: BrokenStack, prometheus: Prometheus
) -> None:
    whole.kill_service("redis")
    wait_for(prometheus, "SeqwayRedisDown")
    # The worker too: else it is waited for until it tries Redis again.
    for name in ("controller", "gateway", "worker"):
        whole.kill_service(name)
    wait_for(prometheus, "SeqwayControllerDown", "SeqwayGatewayDown")
