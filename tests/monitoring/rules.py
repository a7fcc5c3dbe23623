"""The alert rules and the dashboard of the repository, as the tests read them."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from deploy.local.settings import ROOT

FOLDER = ROOT / "deploy" / "observability"
ALERTS = FOLDER / "alerts.yaml"
ALERT_TESTS = FOLDER / "alerts.test.yaml"
DASHBOARD = FOLDER / "dashboard.json"

_NAME = re.compile(r"\b(?:seqway|nv)_\w+\b(?!\s*=)")


def alert_rules(path: Path = ALERTS) -> list[dict[str, Any]]:
    groups = yaml.safe_load(path.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def hurried_rules(window: str) -> str:
    """The rules with short windows, that fire at once: all durations but the looks at a whole day.

    What they look at, and the bounds, stay as they are.
    """
    text = re.sub(r"^(\s+)for: .*$", r"\1for: 1s", ALERTS.read_text(), flags=re.MULTILINE)
    return re.sub(r"\[\d+[mh]\]", f"[{window}]", text)


def panels() -> list[dict[str, Any]]:
    return [one for one in json.loads(DASHBOARD.read_text())["panels"] if one["type"] != "row"]


def dashboard_queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def metric_names() -> set[str]:
    """The names that the rules and the dashboard ask for."""
    expressions = [rule["expr"] for rule in alert_rules()] + dashboard_queries()
    return {name for expression in expressions for name in _NAME.findall(expression)}
