"""The tutorials in `examples/`: every Python block of them, in order, against the Weir under test behind TLS."""

from __future__ import annotations

import pathlib
import re

import pytest

import front
import weir

EXAMPLES = sorted((pathlib.Path(__file__).parent / "examples").glob("*.md"))


@pytest.mark.parametrize("tutorial", EXAMPLES, ids=lambda path: path.stem)
def test_a_tutorial_works_as_it_stands(tutorial, upstream, monkeypatch, tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", tutorial.read_text(), re.DOTALL | re.MULTILINE)
    assert blocks, f"{tutorial.name} has no Python in it"
    with front.serve(weir.URL) as tls:
        monkeypatch.setenv("WEIR_URL", tls.url)
        monkeypatch.setenv("WEIR_ADMIN_TOKEN", weir.ADMIN)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", tls.certificate)
        monkeypatch.setenv("SSL_CERT_FILE", tls.certificate)
        monkeypatch.setenv("AZUREML_DEV_URL_MFE", tls.url)
        monkeypatch.setenv("DATABRICKS_HOST", tls.url)
        monkeypatch.setenv("DATABRICKS_TOKEN", weir.ADMIN)
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("OPENAI_API_BASE", upstream.base)
        names: dict[str, object] = {"__name__": tutorial.stem}
        for at, block in enumerate(blocks):
            exec(compile(block, f"{tutorial.name} block {at + 1}", "exec"), names)
