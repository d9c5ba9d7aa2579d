"""What a program that the daemon has started needs to talk to it: as an event listener, by XML-RPC, or by
messages in its output."""

import sys
import time
import xmlrpc.client

from supervisor.events import ProcessCommunicationEvent
from supervisor.xmlrpc import SupervisorTransport


def getRPCTransport(env):
    """A transport to the daemon that an environment names. KeyError: SUPERVISOR_SERVER_URL is missing."""
    return SupervisorTransport(
        env.get("SUPERVISOR_USERNAME", ""), env.get("SUPERVISOR_PASSWORD", ""), env["SUPERVISOR_SERVER_URL"]
    )


def getRPCInterface(env):
    """A proxy for the daemon: getRPCInterface(os.environ).supervisor.getAllProcessInfo()."""
    # The transport knows the address; ServerProxy accepts none that begins with unix://.
    return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=getRPCTransport(env))


def get_headers(line):
    """The fields of "key:value key:value"."""
    fields = {}
    last = None
    for token in line.split():
        key, colon, value = token.partition(":")
        if colon and key:
            fields[key] = value
            last = key
        elif last is not None:  # a blank within a value, of an identifier for example
            fields[last] += " " + token
    return fields


def eventdata(payload):
    """The fields in the first line of a payload, and what follows that line."""
    first, _, data = payload.partition("\n")
    return get_headers(first), data


def get_asctime(now=None):
    """A time, in seconds since 1970, as the daemon's log has it."""
    if now is None:
        now = time.time()
    return "%s,%03d" % (time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now)), (now - int(now)) * 1000)


class ProcessCommunicationsProtocol:
    """Messages in the output of a program whose section has a ..._capture_maxbytes. They become events."""

    def send(self, msg, fp=None):
        fp = sys.stdout if fp is None else fp
        if isinstance(msg, str):
            msg = msg.encode("utf-8")
        text = ProcessCommunicationEvent.BEGIN_TOKEN + msg + ProcessCommunicationEvent.END_TOKEN
        raw = getattr(fp, "buffer", None)
        if raw is not None:
            fp.flush()  # what was written before comes before
            raw.write(text)
            raw.flush()
            return
        try:
            fp.write(text)
        except TypeError:  # it takes text
            fp.write(text.decode("utf-8"))
        fp.flush()

    def stdout(self, msg):
        return self.send(msg, sys.stdout)

    def stderr(self, msg):
        return self.send(msg, sys.stderr)


pcomm = ProcessCommunicationsProtocol()


class EventListenerProtocol:
    """The listener's side of the event protocol, on standard input and output unless others are given."""

    def wait(self, stdin=None, stdout=None):
        """The header, as fields, and the payload of the next event. EOFError: the daemon is gone."""
        self.ready(stdout)
        stdin = sys.stdin if stdin is None else stdin
        line = stdin.readline()
        if not line:
            raise EOFError("there are no more events: the daemon is gone")
        headers = get_headers(line)
        length = int(headers["len"])
        payload = stdin.read(length)
        if len(payload) < length:
            raise EOFError("the daemon has gone away within an event")
        return headers, payload

    def ready(self, stdout=None):
        self._write("READY\n", stdout)

    def ok(self, stdout=None):
        """The event has been dealt with."""
        self.send("OK", stdout)

    def fail(self, stdout=None):
        """The event is to be sent again."""
        self.send("FAIL", stdout)

    def send(self, data, stdout=None):
        # The daemon counts bytes.
        length = len(data if isinstance(data, bytes) else data.encode("utf-8"))
        self._write("RESULT %d\n%s" % (length, data), stdout)

    def _write(self, text, stdout):
        stdout = sys.stdout if stdout is None else stdout
        stdout.write(text)
        stdout.flush()


listener = EventListenerProtocol()
