"""Answers the calls of the namespace greet.

[rpcinterface:greet]
upkeep.rpcinterface_socket=%(here)s/greet.sock
upkeep.rpcinterface_command=python3 /path/to/extension.py
"""

import socket
import socketserver
from xmlrpc.client import Fault
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler


class Handler(SimpleXMLRPCRequestHandler):
    disable_nagle_algorithm = False  # that is for TCP
    rpc_paths = ("/RPC2",)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer, SimpleXMLRPCDispatcher):
    daemon_threads = True
    logRequests = False

    def __init__(self):
        SimpleXMLRPCDispatcher.__init__(self, allow_none=True)
        socketserver.UnixStreamServer.__init__(self, "", Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=0)  # the daemon listens already


def hello(*names):
    """Says hello.

    @param string name  to whom
    @return string text  the greeting
    """
    if len(names) != 1:
        raise Fault(2, "whom?")
    return "hello " + names[0]


server = Server()
server.register_introspection_functions()
server.register_function(hello, "greet.hello")
server.serve_forever()
