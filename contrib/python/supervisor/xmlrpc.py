"""The transport that reaches a daemon over a unix or a TCP socket, and the numbers of its faults."""

import base64
import http.client
import select
import socket
import urllib.parse
import xmlrpc.client


class Faults:
    UNKNOWN_METHOD = 1
    INCORRECT_PARAMETERS = 2
    BAD_ARGUMENTS = 3
    SIGNATURE_UNSUPPORTED = 4
    SHUTDOWN_STATE = 6
    BAD_NAME = 10
    BAD_SIGNAL = 11
    NO_FILE = 20
    NOT_EXECUTABLE = 21
    FAILED = 30
    ABNORMAL_TERMINATION = 40
    SPAWN_ERROR = 50
    ALREADY_STARTED = 60
    NOT_RUNNING = 70
    SUCCESS = 80
    ALREADY_ADDED = 90
    STILL_RUNNING = 91
    CANT_REREAD = 92


def getFaultDescription(code):
    """The name of a fault, or UNKNOWN."""
    return next((name for name, value in vars(Faults).items() if name.isupper() and value == code), "UNKNOWN")


class RPCError(Exception):
    """A fault as code of the daemon's side raises it. Clients get xmlrpc.client.Fault."""

    def __init__(self, code, extra=None):
        self.code = code
        self.text = getFaultDescription(code)
        if extra is not None:
            self.text += ": %s" % extra
        super().__init__(code, extra)

    def __str__(self):
        return "code=%r, text=%r" % (self.code, self.text)


class UnixStreamHTTPConnection(http.client.HTTPConnection):
    """HTTP over the unix socket whose path is in socketfile."""

    socketfile = None

    def connect(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(self.socketfile)
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class SupervisorTransport(xmlrpc.client.Transport):
    """A transport for ServerProxy, whose own address it does not look at:

    ServerProxy("http://127.0.0.1", transport=SupervisorTransport(None, None, "unix:///run/supervisor.sock"))
    """

    connection = None

    def __init__(self, username=None, password=None, serverurl=None):
        super().__init__()
        self.username = username
        self.password = password
        self.serverurl = serverurl
        self.verbose = False
        parsed = urllib.parse.urlsplit(serverurl or "")
        if serverurl and serverurl.startswith("unix://"):
            self._get_connection = self._unix
        elif parsed.scheme == "http":
            self._get_connection = lambda: http.client.HTTPConnection(parsed.hostname, parsed.port or 80)
        elif parsed.scheme == "https":
            self._get_connection = lambda: http.client.HTTPSConnection(parsed.hostname, parsed.port or 443)
        else:
            raise ValueError("Unknown protocol for serverurl %s" % serverurl)

    def _unix(self):
        connection = UnixStreamHTTPConnection("localhost")
        connection.socketfile = self.serverurl[len("unix://"):]
        return connection

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def _drop_if_closed(self):
        # An idle connection has nothing to say: what can be read is its end. To find that out now is better
        # than to lose a call, which could not be repeated without knowing whether it was obeyed.
        sock = getattr(self.connection, "sock", None)
        if sock is not None and select.select([sock], [], [], 0)[0]:
            self.close()

    def request(self, host, handler, request_body, verbose=False):
        if isinstance(request_body, str):
            request_body = request_body.encode("utf-8")
        headers = {
            "User-Agent": self.user_agent,
            "Content-Type": "text/xml",
            "Accept": "text/xml",
            "Content-Length": str(len(request_body)),
        }
        if self.username and self.password is not None:
            pair = "%s:%s" % (self.username, self.password)
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode("utf-8")).decode("ascii")
        self._drop_if_closed()
        if self.connection is None:
            self.connection = self._get_connection()
        try:
            self.connection.request("POST", handler, request_body, headers)
            response = self.connection.getresponse()
            data = response.read()
        except BaseException:
            self.close()
            raise
        if response.status != 200:
            self.close()
            raise xmlrpc.client.ProtocolError(host + handler, response.status, response.reason, "")
        parser, unmarshaller = self.getparser()
        parser.feed(data)
        parser.close()
        return unmarshaller.close()
