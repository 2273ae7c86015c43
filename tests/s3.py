"""An S3 server on loopback, for the tests of URLs."""

import logging
from contextlib import contextmanager
from urllib.request import Request, urlopen

import fsspec
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "s3://bucket"


@contextmanager
def s3_server():
    """Run a server with one empty bucket within the block.

    The environment names it, for this process and those that it starts.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        forget_connections()
        try:
            fsspec.filesystem("s3").mkdir("bucket")
            yield server
        finally:
            # all servers of a process have the same buckets
            urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
            server.stop()
            forget_connections()


def forget_connections():
    """Let the next use of s3:// read the environment again."""
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def put_folder(folder, url):
    """Copy a local folder to a URL."""
    fsspec.filesystem("s3").put(str(folder), url, recursive=True)
