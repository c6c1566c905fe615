"""Several isolates of the built Worker under plain `workerd`, sharing one set of Durable Objects.

Decides the server's configuration: one service holds the objects, the others are fronts of the same code, each with
a socket, a memory and a snapshot of its own, whose bindings point to the first one's objects.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import wire

ROOT = pathlib.Path(__file__).parents[2]
ADMIN = "weir-isolates-admin-token"
OBJECTS = ("Registry", "Limiter", "Ledger")


def workerd() -> str:
    """The server's program: in the project's tools, else on the path."""
    tools = [pathlib.Path(os.environ[name]) for name in ("WEIR_TOOLS", "WEIR_E2E_TOOLS") if name in os.environ]
    for folder in [*tools, ROOT / "target" / "tools"]:
        for place in ("npm/node_modules/.bin", "node_modules/.bin", "bin"):
            if (folder / place / "workerd").exists():
                return str(folder / place / "workerd")
    found = shutil.which("workerd")
    assert found, "workerd was not found; `cargo xtask build` installs it, or set WEIR_TOOLS"
    return found


def driver() -> list[pathlib.Path]:
    """The driver's modules, which the entry imports."""
    return sorted((ROOT / "worker" / "src").glob("*.js"))


def config(fronts: int, variables: dict[str, str]) -> str:
    """The configuration, in workerd's language. Paths are relative to its own folder."""
    more = "".join(f'(name = "{name}", text = "{value}"), ' for name, value in variables.items())

    def bindings(service: str) -> str:
        return "".join(f'(name = "{c.upper()}", durableObjectNamespace = (className = "{c}"{service})),\n' for c in OBJECTS)

    sources = "".join(f'(name = "src/{file.name}", esModule = embed "src/{file.name}"),\n' for file in driver())

    def worker(name: str, rest: str) -> str:
        return f"""const {name} :Workerd.Worker = (
  modules = [
    (name = "entry.js", esModule = embed "entry.js"),
    (name = "build/index.js", esModule = embed "build/index.js"),
    {sources}
    (name = "build/index_bg.wasm", wasm = embed "build/index_bg.wasm"),
  ],
  compatibilityDate = "{compatibility_date()}",
  bindings = [
    (name = "WEIR_ADMIN_TOKEN", text = "{ADMIN}"), (name = "WEIR_SEAL_KEY", text = "seals only in this test"),
    (name = "WEIR_DEV", text = "true"), (name = "WEIR_ALLOW_PRIVATE_UPSTREAMS", text = "true"),
    {more}
    {bindings('' if name == 'objects' else ', serviceName = "objects"')}
  ],
  {rest}
);
"""

    namespaces = "".join(f'(className = "{c}", uniqueKey = "weir-{c.lower()}", enableSql = true),' for c in OBJECTS)
    services = "".join(f'(name = "front{i}", worker = .front{i}),' for i in range(fronts))
    sockets = "".join(f'(name = "front{i}", address = "127.0.0.1:0", http = (), service = "front{i}"),'
                      for i in range(fronts))
    return f"""using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "objects", worker = .objects), {services}
    (name = "internet", network = (allow = ["public", "private"])),
    (name = "disk", disk = (path = "state", writable = true)),
  ],
  sockets = [{sockets}],
);
{worker("objects", f'durableObjectNamespaces = [{namespaces}], durableObjectStorage = (localDisk = "disk"),')}
{"".join(worker(f"front{i}", "") for i in range(fronts))}"""


def compatibility_date() -> str:
    return re.search(r'^compatibility_date\s*=\s*"(.+?)"', (ROOT / "wrangler.toml").read_text(), re.M)[1]


class Isolates:
    """A running server; a context manager. `urls`: the fronts' addresses. Keyword arguments: further variables."""

    def __init__(self, fronts: int = 3, **variables: str) -> None:
        self.fronts = fronts
        self.variables = variables
        self.urls: list[str] = []

    def __enter__(self) -> Isolates:
        self.folder = tempfile.TemporaryDirectory()
        here = pathlib.Path(self.folder.name)
        shutil.copy(ROOT / "worker" / "entry.js", here)
        for folder in ("build", "src"):
            (here / folder).mkdir()
        for file in driver():
            shutil.copy(file, here / "src")
        (here / "state").mkdir()
        for name in ("index.js", "index_bg.wasm"):
            shutil.copy(ROOT / "worker" / "build" / name, here / "build")
        (here / "config.capnp").write_text(config(self.fronts, self.variables))
        self.log = open(here / "log", "w+")
        self.start()
        return self

    def start(self) -> None:
        """Starts the server on the state that it left; it listens on other ports than before."""
        # --control-fd tells the port of each socket that was opened on port 0, as one JSON line each.
        read, write = os.pipe()
        self.process = subprocess.Popen([workerd(), "serve", "--experimental", f"--control-fd={write}", "config.capnp"],
                                        cwd=self.folder.name, pass_fds=[write], stdout=self.log, stderr=subprocess.STDOUT)
        os.close(write)
        ports: dict[str, str] = {}
        with os.fdopen(read) as control:
            for line in control:
                if found := re.search(r'"socket":"(front\d+)".*"port":(\d+)', line):
                    ports[found[1]] = found[2]
                if len(ports) == self.fronts:
                    break
            else:
                raise RuntimeError(f"workerd did not start:\n{self.output()}")
        self.urls = [f"http://127.0.0.1:{ports[f'front{i}']}" for i in range(self.fronts)]
        for url in self.urls:
            self._wait(url)

    def kill(self) -> None:
        """Kills the server where it stands."""
        self.process.kill()
        self.process.wait()

    def _wait(self, url: str) -> None:
        deadline = time.monotonic() + 20
        while wire.send(url, "GET", "/healthz").status != 200:
            assert time.monotonic() < deadline, f"{url} does not answer:\n{self.output()}"
            time.sleep(0.05)

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read()[-4000:]

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            # V8's sweeper may spin for ever in it (seen once, under load): it hears nothing then.
            self.kill()
        self.log.close()
        self.folder.cleanup()
