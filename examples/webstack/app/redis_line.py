"""As much of redis' protocol as two small programs need, on a plain socket."""

import socket


class Redis:
    def __init__(self, port, timeout=5.0):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.sock.makefile("rb")

    def ask(self, *words):
        """Sends one command and returns its answer: bytes, int, None or a list of these."""
        parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        call = b"*%d\r\n" % len(parts)
        for part in parts:
            call += b"$%d\r\n%s\r\n" % (len(part), part)
        self.sock.sendall(call)
        return self.answer()

    def answer(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("redis has closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self.file.read(size + 2)[:-2]
        if kind == b"*":
            count = int(rest)
            return None if count < 0 else [self.answer() for _ in range(count)]
        raise RuntimeError(rest.decode(errors="replace"))

    def close(self):
        self.file.close()
        self.sock.close()
