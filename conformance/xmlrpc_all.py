#!/usr/bin/python3
"""Call every method of the API through Python's own XML-RPC client and print what came back.

usage: xmlrpc_all.py http://[user:password@]host:port | unix:///path/of/socket

The daemon must run the configuration of testdata/scenarios/python-client.txtar. Output is JSON, one entry per
call in order, with everything that differs from run to run reduced to whether it is set. Two
daemons are alike for a Python client when the outputs are equal.
"""

import base64
import http.client
import json
import re
import socket
import sys
import time
import xmlrpc.client

VOLATILE = ("pid", "start", "stop", "now")


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a unix socket."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


class UnixTransport(xmlrpc.client.Transport):
    """xmlrpc.client over a unix socket, with credentials if given."""

    def __init__(self, path, credentials=None):
        super().__init__()
        self.path = path
        self.credentials = credentials

    def make_connection(self, host):
        return UnixConnection(self.path)

    def send_headers(self, connection, headers):
        super().send_headers(connection, headers)
        if self.credentials:
            word = base64.b64encode(self.credentials.encode()).decode()
            connection.putheader("Authorization", "Basic " + word)


def connect(url):
    """A ServerProxy for an http or unix address."""
    if url.startswith("unix://"):
        return xmlrpc.client.ServerProxy("http://localhost", transport=UnixTransport(url[len("unix://"):]))
    return xmlrpc.client.ServerProxy(url + "/RPC2")


def calm(value):
    """Remove what cannot be equal in two runs."""
    if isinstance(value, dict):
        return {k: ("SET" if k in VOLATILE and v else calm(v)) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [calm(v) for v in value]
    if isinstance(value, str):
        value = re.sub(r"\bpid \d+", "pid PID", value)
        value = re.sub(r"uptime \d+:\d\d:\d\d", "uptime T", value)
        value = re.sub(r"\b[A-Z][a-z]{2} \d\d \d\d:\d\d [AP]M", "DATE", value)
        value = re.sub(r"(---[A-Za-z0-9_]+)-[a-z0-9_]{8}\.log", r"\1-RANDOM.log", value)
        value = re.sub(r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", "TIME ", value)
    return value


class Recorder:
    """Performs calls and keeps what they gave."""

    def __init__(self, server):
        self.server = server
        self.entries = []

    def __call__(self, method, *params, shown=None, ordered=True):
        target = self.server
        for part in method.split("."):
            target = getattr(target, part)
        entry = {"call": method, "params": list(params)}
        try:
            result = calm(target(*params))
            if not ordered and isinstance(result, list):
                result = sorted(result, key=json.dumps)
            entry["result"] = shown(result) if shown else result
        except xmlrpc.client.Fault as fault:
            entry["fault"] = [fault.faultCode, fault.faultString]
        except xmlrpc.client.ProtocolError as problem:
            entry["http"] = [problem.errcode, problem.errmsg]
        self.entries.append(entry)

    def wait(self, name, state):
        """Wait until a process is in a state, at most 30 seconds."""
        end = time.monotonic() + 30
        while self.server.supervisor.getProcessInfo(name)["statename"] != state:
            if time.monotonic() > end:
                self.entries.append({"wait": name, "never": state})
                return
            time.sleep(0.05)

    def wait_log(self, name, text):
        """Wait until a process's log holds a text, at most 30 seconds."""
        end = time.monotonic() + 30
        while text not in self.server.supervisor.readProcessStdoutLog(name, 0, 0):
            if time.monotonic() > end:
                self.entries.append({"log": name, "never": text})
                return
            time.sleep(0.05)


def kind(value):
    """Only the type of a value."""
    return type(value).__name__


def exercise(call):
    """Every method, good and bad."""
    call.wait("cat", "RUNNING")
    call.wait("g:one", "RUNNING")
    for name in ("getAPIVersion", "getVersion", "getSupervisorVersion", "getIdentification", "getState"):
        call("supervisor." + name)
        call("supervisor." + name, "surplus")
    call("supervisor.getPID", shown=kind)
    call("system.listMethods")
    for method in call.server.system.listMethods():
        call("system.methodSignature", method)
        call("system.methodHelp", method, shown=lambda text: bool(text.strip()))
    call("system.methodSignature", "nope")
    call("system.methodHelp", "nope")
    call("system.multicall", [{"methodName": "supervisor.getState", "params": []},
                              {"methodName": "supervisor.getProcessInfo", "params": ["nope"]}])
    call("supervisor.nope")
    call("nope.nope")
    call("supervisor.getAllProcessInfo")
    call("supervisor.getAllConfigInfo")
    call("supervisor.getProcessInfo", "cat")
    call("supervisor.getProcessInfo", "nope")

    call("supervisor.sendProcessStdin", "cat", "grüße\n")
    call.wait_log("cat", "grüße")
    call("supervisor.sendProcessStdin", "quick", "x")
    call("supervisor.sendRemoteCommEvent", "type", "data")
    for method in ("readProcessStdoutLog", "readProcessLog", "readProcessStderrLog",
                   "tailProcessStdoutLog", "tailProcessLog", "tailProcessStderrLog"):
        for offset, length in ((0, 0), (0, 4), (-4, 0), (2, 100), (-1, 3), (0, -1)):
            call("supervisor." + method, "cat", offset, length)
        call("supervisor." + method, "nope", 0, 10)
    call("supervisor.readLog", 4, 1)
    call("supervisor.readMainLog", -1, 0)
    call("supervisor.readLog", -1, 3)
    call("supervisor.clearProcessLogs", "cat")
    call("supervisor.clearProcessLog", "nope")
    call("supervisor.readProcessStdoutLog", "cat", 0, 0)
    call("supervisor.clearAllProcessLogs")
    call("supervisor.clearLog")

    call("supervisor.signalProcess", "cat", "CONT")
    call("supervisor.signalProcess", "cat", "BOGUS")
    call("supervisor.signalProcess", "quick", "CONT")
    call("supervisor.signalProcessGroup", "g", "CONT")
    call("supervisor.signalProcessGroup", "nope", "CONT")
    call("supervisor.signalAllProcesses", "CONT")

    call("supervisor.startProcess", "cat")
    call("supervisor.startProcess", "quick")
    call("supervisor.startProcess", "dies")
    call("supervisor.startProcess", "missing")
    call("supervisor.startProcess", "nope")
    call("supervisor.stopProcess", "cat")
    call("supervisor.stopProcess", "cat")
    call("supervisor.startProcess", "cat", False)
    call.wait("cat", "RUNNING")
    call("supervisor.startProcessGroup", "g", ordered=False)
    call("supervisor.stopProcessGroup", "g", ordered=False)
    call("supervisor.startProcessGroup", "nope")
    call("supervisor.stopProcessGroup", "nope")
    call("supervisor.stopAllProcesses", ordered=False)
    call("supervisor.startAllProcesses", ordered=False)

    call("supervisor.reloadConfig")
    call("supervisor.addProcessGroup", "cat")
    call("supervisor.addProcessGroup", "nope")
    call("supervisor.removeProcessGroup", "cat")
    call("supervisor.stopProcess", "cat")
    call("supervisor.removeProcessGroup", "cat")
    call("supervisor.removeProcessGroup", "nope")
    call("supervisor.addProcessGroup", "cat")
    call("supervisor.restart")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if call.server.supervisor.getProcessInfo("cat")["statename"] == "RUNNING":
                break
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            pass
        time.sleep(0.1)
    call("supervisor.getState")
    if "--shutdown" in sys.argv:
        call("supervisor.shutdown")


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    call = Recorder(connect(sys.argv[1]))
    exercise(call)
    json.dump(call.entries, sys.stdout, indent=1, ensure_ascii=False, sort_keys=False)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
