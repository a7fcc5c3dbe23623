"""The alert rules of the component are those of deploy/observability."""

import re

import yaml

from deploy.kubernetes.prometheus_rule import ALERTS, RULE, prometheus_rule
from tests.deploy import validation
from tests.deploy.rendering import overlay_objects

_RULES = {
    "groups": [
        {
            "name": "seqway",
            "rules": [
                {
                    "alert": "GatewayDown",
                    "expr": 'up{job="seqway/seqway-gateway"} == 0',
                    "for": "2m",
                    "labels": {"severity": "page"},
                    "annotations": {"summary": "No gateway answers {{ $labels.pod }}."},
                }
            ],
        }
    ]
}


def test_a_file_of_rules_becomes_a_valid_object() -> None:
    item = yaml.safe_load(prometheus_rule(_RULES))
    assert item["spec"] == _RULES
    assert validation.faults(item) == []


def test_a_rule_with_an_unknown_field_is_found() -> None:
    item = yaml.safe_load(prometheus_rule(_RULES))
    item["spec"]["groups"][0]["rules"][0]["fro"] = "2m"
    assert any("fro" in one for one in validation.faults(item))


def test_the_component_has_the_rules_that_there_are() -> None:
    """With the file of rules there is its copy, which is rendered; without it there is none."""
    rendered = [
        one for one in overlay_objects("dev", ["prometheus"]) if one["kind"] == "PrometheusRule"
    ]
    if not ALERTS.exists():
        assert rendered == []
        return
    assert RULE.read_text() == prometheus_rule(yaml.safe_load(ALERTS.read_text()))
    assert [one["spec"] for one in rendered] == [yaml.safe_load(ALERTS.read_text())]


def test_the_jobs_that_rules_name_are_those_that_are_scraped() -> None:
    monitors = [
        one for one in overlay_objects("dev", ["prometheus"]) if one["kind"] == "PodMonitor"
    ]
    jobs = {
        relabeling["replacement"]
        for one in monitors
        for endpoint in one["spec"]["podMetricsEndpoints"]
        for relabeling in endpoint["relabelings"]
        if relabeling["targetLabel"] == "job"
    }
    assert jobs == {one["metadata"]["name"] for one in monitors}
    text = ALERTS.read_text() if ALERTS.exists() else ""
    assert set(re.findall(r'job="([^"]+)"', text)) <= jobs
