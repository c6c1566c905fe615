"""The Worker with a bucket for its inference tables, as `wrangler.toml` says how: a `wrangler dev` of its own.

Decides the configuration: the project's, without its build, with the lines about the bucket in force. Objects are read
from where wrangler keeps them.
"""

from __future__ import annotations

import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time

import wire
from isolates import ROOT

ADMIN = "weir-bucket-admin-token"


def wrangler() -> pathlib.Path:
    """The program, in the project's tools."""
    tools = [pathlib.Path(os.environ["WEIR_TOOLS"])] if "WEIR_TOOLS" in os.environ else []
    found = [folder / "npm/node_modules/.bin/wrangler" for folder in [*tools, ROOT / "target" / "tools"]]
    return next(program for program in found if program.exists())


def config() -> str:
    """`wrangler.toml` after its own advice about the bucket was followed."""
    text = (ROOT / "wrangler.toml").read_text()
    text = re.sub(r"^\[build\]\n(?:.+\n)+", "", text, flags=re.M)
    text = text.replace('main = "worker/entry.js"', f'main = "{ROOT}/worker/entry.js"')
    advice = re.search(r"^# \[\[r2_buckets\]\]\n(?:# .+\n)+", text, re.M)
    assert advice, "wrangler.toml tells nothing of a bucket"
    return text.replace(advice[0], re.sub(r"^# ", "", advice[0], flags=re.M))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Bucketed:
    """A running server; a context manager. `url`: its address."""

    def __enter__(self) -> Bucketed:
        self.folder = tempfile.TemporaryDirectory()
        self.here = pathlib.Path(self.folder.name)
        (self.here / "wrangler.toml").write_text(config())
        variables = {"WEIR_ADMIN_TOKEN": ADMIN, "WEIR_SEAL_KEY": "seals only in this test", "WEIR_DEV": "true"}
        (self.here / ".dev.vars").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        environment = {**os.environ, "WRANGLER_SEND_METRICS": "false", "CLOUDFLARE_CF_FETCH_ENABLED": "false"}
        arguments = ["dev", "--local", "--ip", "127.0.0.1", "--port", str(port), "--inspector-port", "0",
                     "--show-interactive-dev-session=false", "--persist-to", str(self.here / "state")]
        self.log = open(self.here / "log", "w+")
        self.process = subprocess.Popen([str(wrangler()), *arguments], cwd=self.here, env=environment, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True)
        deadline = time.monotonic() + 60
        while not self.is_up():
            assert self.process.poll() is None and time.monotonic() < deadline, self.output()
            time.sleep(0.1)
        return self

    def is_up(self) -> bool:
        try:
            return wire.send(self.url, "GET", "/healthz").status == 200
        except OSError:
            return False

    def objects(self) -> dict[str, str]:
        """The bucket's objects by their keys."""
        found: dict[str, str] = {}
        for file in (self.here / "state").glob("**/r2/**/*.sqlite"):
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as rows:
                if rows.execute("SELECT 1 FROM sqlite_master WHERE name = '_mf_objects'").fetchone():
                    for key, blob in rows.execute("SELECT key, blob_id FROM _mf_objects"):
                        found[key] = next((self.here / "state").glob(f"**/blobs/{blob}")).read_text()
        return found

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read()[-4000:]

    def __exit__(self, *_: object) -> None:
        # wrangler is the first of its own group: what it started goes with it.
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.log.close()
        self.folder.cleanup()
