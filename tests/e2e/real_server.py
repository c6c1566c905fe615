"""A real OpenAI-compatible server that nobody here wrote: llama-cpp-python on a tiny model of random weights.

Decides how the server is built once (a virtual environment that is kept, `WEIR_REAL_VENV`), how the model file is
made, and how the server is started. `python real_server.py` prepares everything and asks the server directly.
The model file is written by this file itself under the venv's Python (`--write-model`), where `gguf` is installed.

Sources: GGUF's llama architecture as llama.cpp reads it; llama-cpp-python's `llama_cpp.server`.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import venv

import wire

PACKAGES = ["llama-cpp-python[server]==0.3.36", "gguf==0.19.0", "numpy"]
TOOLS = pathlib.Path(os.environ.get("WEIR_E2E_CACHE") or pathlib.Path(__file__).parents[2] / "target" / "tools")
CACHE = pathlib.Path(os.environ.get("WEIR_REAL_VENV") or TOOLS / "real-server")
MODEL = "tiny-random"

WORDS = ["the", "a", "river", "weir", "stone", "water", "flows", "over", "under", "and", "is", "slow", "deep", "cold"]
WIDTH, HEADS, LAYERS, INNER, CONTEXT = 64, 4, 2, 128, 512


def python() -> pathlib.Path:
    return CACHE / "bin" / "python"


def prepare(say=print) -> None:
    """Builds the server, if that was not done yet: some ten minutes on two cores."""
    stamp = CACHE / "stamp"
    if stamp.exists() and stamp.read_text() == "\n".join(PACKAGES):
        return
    say(f"building {PACKAGES[0]} in {CACHE} (once; this takes minutes)")
    venv.create(CACHE, with_pip=True, clear=True)
    subprocess.run([python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
    stamp.write_text("\n".join(PACKAGES))


def write_model(path: str) -> None:
    """A llama of two layers with random weights and a byte-level vocabulary; some 400 KB."""
    import gguf
    import numpy

    tokens = [b"<unk>", b"<s>", b"</s>"] + [f"<0x{byte:02X}>".encode() for byte in range(256)]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL] + [gguf.TokenType.BYTE] * 256
    for word in WORDS:
        tokens.append(f"\u2581{word}".encode())
        kinds.append(gguf.TokenType.NORMAL)
    scores = [0.0] * 259 + [-1.0 - i for i in range(len(WORDS))]

    out = gguf.GGUFWriter(path, "llama")
    out.add_name(MODEL)
    out.add_context_length(CONTEXT)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(INNER)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(WIDTH // HEADS)
    out.add_pooling_type(gguf.PoolingType.MEAN)
    out.add_file_type(gguf.LlamaFileType.ALL_F32)
    out.add_tokenizer_model("llama")
    out.add_token_list(tokens)
    out.add_token_scores(scores)
    out.add_token_types(kinds)
    out.add_unk_token_id(0)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_chat_template("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:")

    random = numpy.random.default_rng(7)

    def tensor(name: str, *shape: int) -> None:
        out.add_tensor(name, (random.standard_normal(shape) * 0.2).astype(numpy.float32))

    def ones(name: str) -> None:
        out.add_tensor(name, numpy.ones(WIDTH, dtype=numpy.float32))

    tensor("token_embd.weight", len(tokens), WIDTH)
    tensor("output.weight", len(tokens), WIDTH)
    ones("output_norm.weight")
    for layer in range(LAYERS):
        at = f"blk.{layer}"
        ones(f"{at}.attn_norm.weight")
        ones(f"{at}.ffn_norm.weight")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensor(f"{at}.{part}.weight", WIDTH, WIDTH)
        tensor(f"{at}.ffn_gate.weight", INNER, WIDTH)
        tensor(f"{at}.ffn_up.weight", INNER, WIDTH)
        tensor(f"{at}.ffn_down.weight", WIDTH, INNER)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


class Server:
    """The running server; a context manager. `base` is its `/v1` address."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        model = os.path.join(self.folder.name, "tiny.gguf")
        subprocess.run([python(), __file__, "--write-model", model], check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.log = open(os.path.join(self.folder.name, "log"), "w+")
        self.process = subprocess.Popen(
            [python(), "-m", "llama_cpp.server", "--model", model, "--model_alias", MODEL, "--host", "127.0.0.1",
             "--port", str(port), "--n_ctx", str(CONTEXT), "--n_threads", "1", "--embedding", "true",
             "--chat_format", "llama-2"],
            stdout=self.log, stderr=subprocess.STDOUT)
        self.url = f"http://127.0.0.1:{port}"
        self.base = f"{self.url}/v1"

    def __enter__(self) -> Server:
        deadline = time.monotonic() + 60
        while True:
            try:
                if wire.send(self.url, "GET", "/v1/models").status == 200:
                    return self
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                raise RuntimeError(f"the real server did not start:\n{self.log.read()[-4000:]}")
            time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()


def main() -> None:
    prepare()
    with Server() as server:
        for stream in (False, True):
            body = {"model": MODEL, "messages": [{"role": "user", "content": "the river"}], "max_tokens": 6,
                    "stream": stream, "temperature": 0}
            print(wire.send(server.url, "POST", "/v1/chat/completions", body=body))
        print(str(wire.send(server.url, "POST", "/v1/embeddings", body={"model": MODEL, "input": "the river"}))[:600])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="llama-cpp-python on a tiny random model")
    parser.add_argument("--write-model", metavar="PATH")
    path = parser.parse_args().write_model
    write_model(path) if path else main()
