"""Runs the end-to-end tests against a Weir that is already serving.

    python run.py [--real-server] [pytest's own arguments]

Environment: WEIR_URL, WEIR_ADMIN_TOKEN, WEIR_KEY (the demo's, if not set); WEIR_E2E_NPM, the folder whose
`node_modules` has the JavaScript clients (else this one); WEIR_E2E_CACHE, where the real server is kept once it is
built; WEIR_TOOLS, where `workerd` is. The last line is `N passed, N failed`; the exit status is 1 if any failed.
"""

from __future__ import annotations

import pathlib
import sys

import pytest

import weir

HERE = pathlib.Path(__file__).parent


class Count:
    """Counts tests; the JavaScript tests inside one Python test count each."""

    def __init__(self) -> None:
        self.passed = self.failed = 0
        self.spent: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.nodeid.split("::")[0]
        self.spent[file] = self.spent.get(file, 0) + report.duration
        if report.when == "call" and report.passed:
            self.passed += dict(report.user_properties).get("javascript_passed", 1)
        elif report.failed:
            self.failed += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.failed += report.failed


def serving() -> bool:
    """Whether Weir and its demo answer; a fault here is told once, not by every test."""
    try:
        answer = weir.call("/v1/chat/completions", weir.ask(model="demo-chat"))
    except OSError as error:
        print(f"nothing answers on {weir.URL} ({error}); start Weir with `cargo xtask dev` or set WEIR_URL")
        return False
    if answer.status == 200:
        return True
    print(f"the demo deployment `demo-chat` on {weir.URL} answers {answer}")
    return False


def main(arguments: list[str]) -> int:
    if not serving():
        print("0 passed, 1 failed")
        return 1
    count = Count()
    code = pytest.main([str(HERE), "-q", "--no-header", "-p", "no:cacheprovider", "--tb=short", *arguments], [count])
    for file, seconds in sorted(count.spent.items(), key=lambda item: -item[1]):
        print(f"{seconds:7.1f} s  {file}")
    failed = max(count.failed, 0 if code == 0 else 1)
    print(f"{count.passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
