"""A real S3 server: SeaweedFS, from its wheel."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from deploy.local.ports import free_ports

_ATTEMPTS = 3
_PATIENCE = 30.0
_ANSWER_SECONDS = 10.0
_LOG = "weed.log"
_LOG_TAIL = 4_000
_OTHER_PORTS = (
    *("s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
    *("filer.port", "filer.port.grpc"),
)
_BUCKET = "seqway"
# Where it keeps Unix sockets, named after ports; no option moves all of them.
_SOCKETS = Path("/tmp")


class S3Server:
    """Keeps a bucket in a folder; `url` and `environment` are for `open_store`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"s3://{_BUCKET}/tests"
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: list[int] = []

    def start(self) -> None:
        """Returns when the bucket takes objects.

        It ends when one of its ports was taken meanwhile, and hangs when another user's server of
        such ports left its sockets in /tmp: it is started again then, on others, and its log is
        shown.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            folder = self._folder / f"attempt-{attempt}"
            folder.mkdir()
            problem = self._try(folder)
            if problem is None:
                return
            self.stop()
            log = (folder / _LOG).read_text(encoding="utf-8", errors="replace")
            sys.stderr.write(f"{problem}; the end of its log:\n{log[-_LOG_TAIL:]}\n")
        raise AssertionError(f"{problem} in {_ATTEMPTS} attempts")

    def _try(self, folder: Path) -> str | None:
        """What was wrong, or None when the bucket takes objects."""
        self._ports = free_ports(1 + len(_OTHER_PORTS))
        s3, *others = self._ports
        self.environment = {
            "AWS_ENDPOINT": f"http://127.0.0.1:{s3}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_SKIP_SIGNATURE": "true",
            "AWS_REGION": "us-east-1",
        }
        with (folder / _LOG).open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("weed")),
                    *("server", "-s3", "-filer", "-dir", str(folder)),
                    *("-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-s3.port", str(s3)),
                    *(
                        word
                        for name, port in zip(_OTHER_PORTS, others, strict=True)
                        for word in (f"-{name}", str(port))
                    ),
                    # Catalogues at fixed ports, for which a second server would end.
                    *("-s3.port.iceberg", "0", "-s3.port.lance", "0"),
                    *("-master.volumeSizeLimitMB", "64", "-volume.max", "100"),
                    *("-master.electionTimeout", "1s", "-s3.iam=false"),
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _PATIENCE
        bucket = f"http://127.0.0.1:{s3}/{_BUCKET}"
        # The first object takes seconds, since a volume is made for it: no test is to wait so long.
        return self._put(bucket, None, deadline) or self._put(f"{bucket}/first", b"1", deadline)

    def _put(self, url: str, data: bytes | None, deadline: float) -> str | None:
        """Tries until it succeeds; what was wrong, or None."""
        assert self._process is not None
        while True:
            try:
                request = urllib.request.Request(url, data, method="PUT")
                with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS):
                    return None
            except (urllib.error.URLError, OSError):
                if self._process.poll() is not None:
                    return "SeaweedFS has ended"
                if time.monotonic() > deadline:
                    return "SeaweedFS does not come up"
                time.sleep(0.1)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        for port in self._ports:
            for socket in _SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                socket.unlink(missing_ok=True)
