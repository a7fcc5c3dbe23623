"""Makes the PrometheusRule of the component `prometheus` from deploy/observability/alerts.yaml.

kustomize reads no file outside of a component's own folder, so there is a copy of the rules:
`python -m deploy.kubernetes.prometheus_rule` writes it, and a test holds both equal.
"""

from pathlib import Path
from typing import Any

import yaml

_ROOT = Path(__file__).resolve().parents[2]
ALERTS = _ROOT / "deploy" / "observability" / "alerts.yaml"
RULE = _ROOT / "deploy" / "kubernetes" / "components" / "prometheus" / "prometheusrule.yaml"
_HEAD = "# Written by `python -m deploy.kubernetes.prometheus_rule`; change deploy/observability.\n"


def prometheus_rule(rules: dict[str, Any]) -> str:
    """The object for the content of a file of rules, as YAML."""
    item = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "seqway", "namespace": "seqway"},
        "spec": {"groups": rules["groups"]},
    }
    return _HEAD + yaml.dump(item, Dumper=_Indented, sort_keys=False, width=120)


class _Indented(yaml.SafeDumper):
    """Lists are indented, as they are in our other files."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def main() -> None:
    """Writes the copy, and sees that the component has it."""
    RULE.write_text(prometheus_rule(yaml.safe_load(ALERTS.read_text())))
    kustomization = RULE.with_name("kustomization.yaml")
    text = kustomization.read_text()
    if f"- {RULE.name}\n" not in text:
        kustomization.write_text(text.replace("resources:\n", f"resources:\n  - {RULE.name}\n"))


if __name__ == "__main__":
    main()
