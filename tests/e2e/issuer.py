"""An OpenID Connect issuer on loopback: metadata, keys, and tokens signed by them.

Decides nothing about what Weir must think of them.
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "https://cognitiveservices.azure.com"


class Issuer:
    """A running issuer; a context manager."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[str, Any]] = {}
        self.up = True
        self.asked: list[str] = []
        self.add_key("rsa-1", "RS256")
        self.add_key("ec-1", "ES256")
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                body = json.dumps(issuer.document(self.path)).encode()
                self.send_response(200 if issuer.up else 503)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def add_key(self, kid: str, algorithm: str) -> None:
        rs = algorithm == "RS256"
        key = rsa.generate_private_key(65537, 2048) if rs else ec.generate_private_key(ec.SECP256R1())
        self.keys[kid] = (algorithm, key)

    def document(self, path: str) -> dict[str, Any]:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        jwks = []
        for kid, (algorithm, key) in self.keys.items():
            maker = jwt.algorithms.RSAAlgorithm if algorithm == "RS256" else jwt.algorithms.ECAlgorithm
            jwks.append({**json.loads(maker.to_jwk(key.public_key())), "kid": kid, "use": "sig"})
        return {"keys": jwks}

    def token(self, kid: str = "rsa-1", key: Any = None, **claims: Any) -> str:
        """A good token, but for `claims`; a claim that is None is left out."""
        algorithm, own = self.keys[kid]
        now = int(time.time())
        said = {"iss": self.url, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 600, "sub": "subject", **claims}
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, key or own, algorithm=algorithm, headers={"kid": kid})

    def __enter__(self) -> Issuer:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.server.shutdown()
