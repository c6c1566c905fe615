"""A TLS front before a Weir that serves plain HTTP: the management clients refuse to send tokens without TLS.

    with front.serve(weir.URL) as tls:
        tls.url          # https://127.0.0.1:PORT
        tls.certificate  # the path of the certificate to trust

Decides nothing about answers: bytes go through as they come, streams too. Only Weir's own address in headers and in
JSON becomes the front's, as a reverse proxy does it. The certificate is made for the run and trusted by nobody else.
"""

from __future__ import annotations

import contextlib
import datetime
import http.client
import http.server
import ipaddress
import pathlib
import ssl
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"}
# Answers must come as text to be rewritten.
OWN = {"host", "accept-encoding"}


@dataclass(frozen=True)
class Front:
    """Where it serves, and the certificate that it serves with."""

    url: str
    certificate: str


@contextlib.contextmanager
def serve(target: str) -> Iterator[Front]:
    """A front before `target`, for as long as the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(pathlib.Path(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forwarder)
        server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # The handshake happens in the connection's own thread, not in the accepting one.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.target = urllib.parse.urlsplit(target)  # type: ignore[attr-defined]
        server.own = f"https://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Front(server.own, str(certificate))  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def make_certificate(folder: pathlib.Path) -> pathlib.Path:
    """A key and a self-signed certificate for 127.0.0.1 and localhost, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "weir test front")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost"), x509.DNSName("*.localhost")]
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "front.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


class Forwarder(http.server.BaseHTTPRequestHandler):
    """One connection: each request goes to the target on a connection of its own."""

    protocol_version = "HTTP/1.1"

    def forward(self) -> None:
        target: urllib.parse.SplitResult = self.server.target  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP | OWN}
        headers["Host"] = target.netloc
        upstream = http.client.HTTPConnection(target.hostname or "", target.port, timeout=120)
        try:
            upstream.request(self.command, self.path, body or None, headers)
            self.answer(upstream.getresponse())
        finally:
            upstream.close()

    def answer(self, response: http.client.HTTPResponse) -> None:
        own: str = self.server.own  # type: ignore[attr-defined]
        theirs = self.server.target.geturl()  # type: ignore[attr-defined]
        is_json = "json" in (response.getheader("content-type") or "")
        whole = response.read().replace(theirs.encode(), own.encode()) if is_json else None
        self.send_response(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP | {"content-length", "date", "server"}:
                self.send_header(name, value.replace(theirs, own))
        if whole is not None:
            self.send_header("content-length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole)
        elif response.status == 204 or self.command == "HEAD":
            self.end_headers()
        else:
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            while piece := response.read1(65536):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = forward  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""
