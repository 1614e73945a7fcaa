"""An application whose capacity does not depend on the CPU: a request takes a thread for 100 ms, as a database would."""

import time

SECONDS = 0.1
BODY = b"done\n"


def application(_, start_response):
    time.sleep(SECONDS)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    return [BODY]
