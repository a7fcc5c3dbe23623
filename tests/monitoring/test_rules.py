"""The rules and the dashboard by themselves."""

import json
import re
import subprocess

import pytest
import yaml

from deploy.local.settings import ROOT
from tests.monitoring.prometheus import program
from tests.monitoring.rules import ALERT_TESTS, ALERTS, DASHBOARD, alert_rules, panels


def promtool(*arguments: str) -> None:
    finished = subprocess.run(
        [program("promtool"), *arguments], cwd=ALERTS.parent, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_prometheus_takes_the_rules() -> None:
    promtool("check", "rules", ALERTS.name)


def test_alerts_fire_on_their_faults_and_not_without() -> None:
    promtool("test", "rules", ALERT_TESTS.name)


def test_every_alert_is_tested_both_ways() -> None:
    tests = yaml.safe_load(ALERT_TESTS.read_text())["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"]]
    fires = {one["alertname"] for one in checks if one.get("exp_alerts")}
    quiet = {one["alertname"] for one in checks if not one.get("exp_alerts")}
    assert fires == quiet == {rule["alert"] for rule in alert_rules()}


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: rule["alert"])
def test_every_alert_says_what_is_wrong_and_has_a_runbook(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    assert "{{ $value" in rule["annotations"]["description"] or "$labels" in str(rule)
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
    assert anchor == str(rule["alert"]).lower()


def test_panels_have_ids_places_and_the_chosen_source() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    rows = [one["title"] for one in dashboard["panels"] if one["type"] == "row"]
    assert rows == ["Overview", "Gateway", "Engine", "Batches"]
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source["uid"] == "${datasource}" for source in sources)
