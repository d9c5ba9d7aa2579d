"""One web process: counts its visitors in redis and leaves a job for the worker."""

import argparse
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from redis_line import Redis


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            store = Redis(self.server.redis_port)
            try:
                visits = store.ask("INCR", "visits")
                store.ask("RPUSH", os.environ.get("QUEUE", "jobs"), "visit %d" % visits)
                done = store.ask("GET", "done") or b"0"
            finally:
                store.close()
            status, text = 200, "visit %d, jobs done %s, from %s\n" % (
                visits, done.decode(), os.environ.get("SUPERVISOR_PROCESS_NAME", "?"))
        except OSError as error:
            print("no redis: %s" % error, file=sys.stderr, flush=True)
            status, text = 503, "no redis\n"
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form, *values):
        print(form % values, flush=True)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--port", type=int, required=True)
    args.add_argument("--redis-port", type=int, required=True)
    args = args.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", args.port), Page)
    server.redis_port = args.redis_port
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print("listening on port %d" % args.port, flush=True)
    server.serve_forever()
    print("ended", flush=True)


if __name__ == "__main__":
    main()
