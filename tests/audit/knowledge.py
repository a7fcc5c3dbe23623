"""A service that knows of vulnerabilities: it speaks as OSV, and as npm's registry."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_TIME = "2026-01-01T00:00:00Z"


@dataclass
class Knowledge:
    """Vulnerable packages with the identifier of their one vulnerability; and who was asked for."""

    python: dict[str, str] = field(default_factory=dict)
    node: dict[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    url: str = ""

    def of_python(self, name: str, version: str) -> Any:
        """An answer of OSV."""
        self.asked.add(f"{name}=={version}")
        if name not in self.python:
            return {}
        fixed = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999"}]}
        affected = {"package": {"name": name, "ecosystem": "PyPI"}, "ranges": [fixed]}
        known = {"id": self.python[name], "published": _TIME, "modified": _TIME}
        return {"vulns": [{**known, "summary": "a fault", "affected": [affected]}]}

    def of_node(self, asked: dict[str, list[str]]) -> Any:
        """An answer of npm's registry."""
        self.asked.update(f"{name}@{version}" for name in asked for version in asked[name])
        return {
            name: [
                {
                    "id": 1,
                    "url": f"https://github.com/advisories/{self.node[name]}",
                    "title": "a fault",
                    "severity": "high",
                    "vulnerable_versions": "<999.0.0",
                    "cwe": [],
                    "cvss": {"score": 0, "vectorString": None},
                }
            ]
            for name in asked
            if name in self.node
        }


@contextmanager
def serving(knowledge: Knowledge) -> Iterator[Knowledge]:
    """Answers on a port of this machine, which `url` tells."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                asked = gzip.decompress(asked)
            question = json.loads(asked)
            if self.path == "/v1/query":
                answer = knowledge.of_python(question["package"]["name"], question["version"])
            else:
                answer = knowledge.of_node(question)
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            """Npm asks for a package that is vulnerable: which versions of it are not."""
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    knowledge.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield knowledge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
