"""A real S3 server: SeaweedFS, from its wheel."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from redis_server import free_port

_PATIENCE = 60.0
_BUCKET = "seqway"


class S3Server:
    """Keeps a bucket in a folder; `url` and `environment` are for `open_store`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"s3://{_BUCKET}/tests"
        self.environment = {
            "AWS_ENDPOINT": f"http://127.0.0.1:{self._port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_SKIP_SIGNATURE": "true",
            "AWS_REGION": "us-east-1",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when the bucket is there."""
        ports = [
            option
            for name in ("master", "volume", "filer")
            for option in (
                *(f"-{name}.port", str(free_port())),
                *(f"-{name}.port.grpc", str(free_port())),
            )
        ]
        log = (self._folder / "weed.log").open("wb")
        self._process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("weed")),
                *("server", "-s3", "-filer", "-dir", str(self._folder)),
                *("-ip", "127.0.0.1", "-ip.bind", "127.0.0.1"),
                *ports,
                *("-s3.port", str(self._port), "-s3.port.grpc", str(free_port())),
                # Catalogues at fixed ports, for which a second server would end.
                *("-s3.port.iceberg", "0", "-s3.port.lance", "0"),
                *("-master.volumeSizeLimitMB", "64", "-volume.max", "100"),
                *("-master.electionTimeout", "1s", "-s3.iam=false"),
            ],
            stdout=log,
            stderr=log,
        )
        log.close()
        deadline = time.monotonic() + _PATIENCE
        bucket = f"http://127.0.0.1:{self._port}/{_BUCKET}"
        while True:
            try:
                request = urllib.request.Request(bucket, method="PUT")
                with urllib.request.urlopen(request, timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                assert self._process.poll() is None, "SeaweedFS has ended"
                assert time.monotonic() < deadline, "SeaweedFS does not come up"
                time.sleep(0.1)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
