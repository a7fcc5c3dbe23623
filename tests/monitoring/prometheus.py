"""A real Prometheus, Debian's, for tests."""

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from deploy.local.ports import HOST, free_ports
from deploy.local.settings import ROOT
from tests.faults.stack import wait_until


def program(name: str) -> str:
    """`prometheus` or `promtool`; skips where it is missing, which fails under CI=true."""
    unpacked = ROOT / ".debian-prometheus" / name
    if unpacked.exists():
        return str(unpacked)
    if installed := shutil.which(name):
        return installed
    otherwise = "Debian's Prometheus is missing: run `make debian-prometheus`"
    if os.environ.get("CI") == "true":
        pytest.fail(otherwise)
    pytest.skip(otherwise)


class Prometheus:
    """Scrapes a port for each job every half second, and evaluates rules as often."""

    def __init__(self, folder: Path, targets: Mapping[str, int], rules: str) -> None:
        (self._port,) = free_ports(1)
        self._folder = folder
        (folder / "rules.yaml").write_text(rules)
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(_configuration(targets)))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            program("prometheus"),
            f"--config.file={self._folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={HOST}:{self._port}",
        ]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._is_ready, "Prometheus is ready", 30)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return found

    def up(self) -> set[str]:
        """The jobs whose target answers."""
        return {one["metric"]["job"] for one in self.query("up == 1")}

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        alerts = self._get("alerts")["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    def has_samples(self, name: str) -> bool:
        return bool(self._get("series", **{"match[]": name}))

    def _get(self, path: str, **parameters: str) -> Any:
        url = f"http://{HOST}:{self._port}/api/v1/{path}?{urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)["data"]

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()
        with suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{self._port}/-/ready"):
            return True
        return False


def _configuration(targets: Mapping[str, int]) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {
                "job_name": job,
                # A controller answers once it knows that Redis does not.
                "scrape_timeout": "500ms",
                "static_configs": [{"targets": [f"{HOST}:{port}"]}],
            }
            for job, port in targets.items()
        ],
    }
