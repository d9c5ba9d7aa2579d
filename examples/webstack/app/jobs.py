"""The worker: takes one job after the other from a list in redis. Without redis it ends, which its
supervisor takes as unexpected and starts it again."""

import argparse
import os
import sys

from redis_line import Redis


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--redis-port", type=int, required=True)
    args = args.parse_args()
    queue = os.environ.get("QUEUE", "jobs")
    store = Redis(args.redis_port, timeout=None)
    print(os.environ.get("GREETING", "hello"), flush=True)
    while True:
        job = store.ask("BLPOP", queue, 0)
        store.ask("INCR", "done")
        print("done: %s" % job[1].decode(errors="replace"), flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("asked to end", flush=True)
    except OSError as error:
        print("no redis: %s" % error, file=sys.stderr, flush=True)
        sys.exit(1)
