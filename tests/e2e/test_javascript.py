"""Runs the JavaScript clients' tests (`js/`, under `node --test`), each as a test of its own here."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess

import pytest

import weir

HERE = pathlib.Path(__file__).parent


def test_openai_javascript(endpoint, record_property):
    modules = os.environ.get("WEIR_E2E_NODE_MODULES") or str(
        pathlib.Path(os.environ.get("WEIR_E2E_NPM", HERE)) / "node_modules")
    if not pathlib.Path(modules, "openai").is_dir():
        pytest.fail(f"the package openai is not in {modules}; run `npm ci` beside package.json")
    env = {**os.environ, "WEIR_URL": weir.URL, "WEIR_KEY": weir.KEY, "WEIR_E2E_NODE_MODULES": modules,
           "WEIR_E2E_ENDPOINT": endpoint.name}
    run = subprocess.run(["node", "--test", "--test-reporter=tap", str(HERE / "js")], env=env, capture_output=True,
                         text=True, timeout=180)
    passed = int(re.findall(r"^# pass (\d+)", run.stdout, re.M)[-1]) if "# pass" in run.stdout else 0
    record_property("javascript_passed", passed)
    failed = re.findall(r"^not ok .*?^  \.\.\.", run.stdout, re.M | re.S)
    assert run.returncode == 0 and passed > 0, "\n".join(failed)[:8000] + run.stderr[-2000:]
