"""A reverse proxy before a server, as those of JupyterHub, GitHub Codespaces and nginx are."""

import contextlib
import select
import socket
import ssl
import subprocess
import threading


class ReverseProxy:
    """Passes requests below a prefix on to a port of this machine, within its `with` block.

    port: of the server
    prefix: what the paths of browsers have before the server's own, such as /user/ada/proxy/4567
    rewritten: headers that it writes anew, by their names in lower case
    certificate: file with a certificate and its key, to speak TLS; None to speak plain HTTP
    """

    def __init__(self, port, prefix="", rewritten=(), certificate=None):
        self._target = port
        self._prefix = prefix.encode()
        self._rewritten = dict(rewritten)
        self._tls = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self._cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cut(self):
        """Lose what present connections send from now on, as a network does that has gone."""
        self._cuts += 1

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as open_sockets:
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
            open_sockets.enter_context(client)
            head, rest = self._request(client)
            if head is None:
                client.sendall(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n")
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            open_sockets.enter_context(server)
            server.sendall(head + rest)
            cuts = self._cuts

            pump(client, server, lambda: self._cuts > cuts)

    def _request(self, client):
        """Return a request's head as the server gets it, None for a path of no server, and what
        came behind it.
        """
        data = b""
        while b"\r\n\r\n" not in data:
            received = client.recv(65536)
            if not received:
                raise ValueError("no request")
            data += received
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        method, path, version = first.split(b" ")
        if not path.startswith(self._prefix + b"/"):
            return None, rest
        headers = []
        for line in lines:
            name = line.partition(b":")[0].decode().lower()
            if name in self._rewritten:
                line = f"{name}: {self._rewritten[name]}".encode()
            headers.append(line)
        path = path[len(self._prefix) :]
        return b"\r\n".join([b" ".join([method, path, version]), *headers, b"", b""]), rest


def pump(client, server, is_cut):
    """Pass on what two sockets send to each other, until one ends; lose it once they are cut.

    In one thread: two that use one TLS socket at once give each other's bytes to the wrong reader.
    """
    while True:
        # TLS may have decrypted more than was read
        has_more = isinstance(client, ssl.SSLSocket) and client.pending()
        ready = [client] if has_more else select.select([client, server], [], [])[0]
        for source, target in ((client, server), (server, client)):
            if source in ready:
                data = source.recv(65536)
                if not data:
                    return
                if not is_cut():
                    target.sendall(data)


def make_certificate(folder, name):
    """Write a certificate for a name, signed by itself, and its key into one file."""
    path = folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-keyout", path, "-out", folder / "only.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + (folder / "only.pem").read_bytes())
    return path
