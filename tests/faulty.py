"""Web servers on loopback: nginx, and one that sends what it should not."""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ENOUGH = 400 << 20  # bytes, after which what never ends does
_CONFIGURATION = """\
daemon off;
user root;
worker_processes 1;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder};
  proxy_temp_path {folder};
  fastcgi_temp_path {folder};
  uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


@contextmanager
def nginx(folder: Path, root: Path) -> Iterator[str]:
    """Serves `root`; gives its URL. `folder` is for nginx itself."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = folder / "nginx.conf"
    file.write_text(_CONFIGURATION.format(folder=folder, port=port, root=root))
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(["nginx", "-c", file, "-p", folder], stderr=output) as process,
    ):
        try:
            while not _is_open(port):
                assert process.poll() is None, log.read_text()
                time.sleep(0.01)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()


def _is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class _Faulty(SimpleHTTPRequestHandler):
    """Serves a directory; to what `which` matches it does what `fault` says."""

    def __init__(
        self, *arguments: object, which: str, fault: str, over: threading.Event, directory: str
    ) -> None:
        self.which, self.fault, self.over = which, fault, over
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""

    def do_GET(self) -> None:
        if not self.fault or not re.search(self.which, self.path):
            super().do_GET()
            return
        content = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        if self.fault != "endless":
            more = 1000 if self.fault == "long" else 0
            self.send_header("Content-Length", str(len(content) + more))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            getattr(self, f"_{self.fault}")(content)

    def _short(self, content: bytes) -> None:
        self.wfile.write(content[:-10])

    def _long(self, content: bytes) -> None:
        self.wfile.write(content + bytes(1000))

    def _stall(self, content: bytes) -> None:
        self.wfile.write(content[:-10])
        self.over.wait()

    def _endless(self, content: bytes) -> None:
        self.wfile.write(content)
        for _ in range(ENOUGH >> 16):
            self.wfile.write(bytes(1 << 16))


@contextmanager
def faulty(directory: Path, which: str = "", fault: str = "") -> Iterator[str]:
    """Serves `directory` with a fault (short, long, stall or endless); gives its URL."""
    over = threading.Event()
    handler = functools.partial(
        _Faulty, directory=str(directory), which=which, fault=fault, over=over
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            over.set()
            server.shutdown()
