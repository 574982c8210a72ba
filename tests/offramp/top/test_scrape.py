"""Endpoints that answer, and those that do not do so as they should."""

import contextlib
import http.server
import socket
import threading

import pytest

from offramp.errors import ConfigError, LinkError
from offramp.top import scrape as module
from offramp.top.scrape import endpoint_url, scrape


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("127.0.0.1:9464", "http://127.0.0.1:9464/metrics"),
        ("[::1]:9464", "http://[::1]:9464/metrics"),
        ("http://board:9465", "http://board:9465/metrics"),
        ("http://board:9465/", "http://board:9465/metrics"),
        ("https://board/offramp/metrics", "https://board/offramp/metrics"),
    ],
)
def test_an_endpoint_is_a_host_and_port_or_a_url(text, url):
    assert endpoint_url(text) == url


@pytest.mark.parametrize("text", ["board", "board:0", "file:///etc/passwd", "http://", "ftp://a:1"])
def test_what_is_neither_is_refused(text):
    with pytest.raises(ConfigError):
        endpoint_url(text)


@contextlib.contextmanager
def served(answer):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            with contextlib.suppress(OSError):  # the reader has gone
                answer(self)

        def log_message(self, *told):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()


def test_what_is_shown_is_returned():
    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"seen_total 3\n")

    with served(answer) as url:
        assert scrape(url) == "seen_total 3\n"


def test_a_refusal_is_told():
    with served(lambda handler: handler.send_error(404)) as url, pytest.raises(LinkError) as caught:
        scrape(url)
    assert str(caught.value) == f"{url} does not answer: 404 Not Found"


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(LinkError, match="does not answer: Connection refused"):
        scrape(f"http://127.0.0.1:{port}/metrics")


def test_what_is_no_http_is_told():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            peer, _ = server.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(b"SSH-2.0-OpenSSH\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(LinkError, match="does not answer: SSH"):
            scrape(f"http://127.0.0.1:{server.getsockname()[1]}/metrics")


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(1 << 16))


def test_too_much_is_refused():
    with served(endless) as url, pytest.raises(LinkError, match="shows more than 8 MiB"):
        scrape(url)


def test_what_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr(module, "_LIMIT_S", 0.0001)
    monkeypatch.setattr(module, "_LIMIT_BYTES", 1 << 40)
    monkeypatch.setattr(module._direct, "open", lambda url, timeout: Dripping())
    with pytest.raises(LinkError, match="takes more than"):
        scrape("http://127.0.0.1:1/metrics")


class Dripping:
    """A reply of which a byte comes now and then."""

    def __enter__(self):
        return self

    def __exit__(self, *how):
        pass

    def read1(self, size):
        return b"x"
