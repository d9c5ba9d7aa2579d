"""Names that older scripts take from here; on Python 3 they are the standard library's own."""

import http.client as httplib  # noqa: F401
import urllib.parse as urlparse  # noqa: F401
import xmlrpc.client as xmlrpclib  # noqa: F401
from io import StringIO  # noqa: F401

PY2 = False
long = int
unicode = str


def as_bytes(s, encoding="utf8"):
    return s if isinstance(s, bytes) else s.encode(encoding)


def as_string(s, encoding="utf8"):
    return s if isinstance(s, str) else s.decode(encoding)
