"""`make run`: the demo origin and the gateway in front of it, both stopped by Ctrl-C.

.venv/bin/python examples/demo/run.py
"""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
URL = "http://127.0.0.1:8080/"
READY_LIMIT_S, STOP_LIMIT_S = 30.0, 40.0
WELCOME = f"""
edgegw serves on {URL} and forwards to the demo origin on http://127.0.0.1:9000/

    curl {URL}            the origin's answer, through the gateway
    curl {URL}hello       answered by the gateway itself
    curl http://127.0.0.1:9902/metrics     what it counts

Edit {HERE.name}/edgegw.yaml while it runs. Ctrl-C ends both.
"""


def accepts(port: int) -> bool:
    """Whether something listens on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def ended(processes: dict[str, subprocess.Popen[bytes]]) -> str:
    """The name of a process that is no longer there; empty while all run."""
    return next((name for name, process in processes.items() if process.poll() is not None), "")


def stop(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    """End the gateway first, so that it finishes what it is doing, then the origin."""
    for process in reversed(processes.values()):
        while process.poll() is None:
            try:
                process.terminate()
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
            except KeyboardInterrupt:
                continue  # Ctrl-C again: a second signal ends the gateway at once.


def main() -> int:
    taken = [port for port in (9000, 8080, 9902) if accepts(port)]
    if taken:
        print(f"the demo needs the ports 9000, 8080 and 9902; in use: {', '.join(map(str, taken))}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    twistd = [str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile="]
    commands = {
        "origin": [sys.executable, str(HERE / "origin.py"), "9000"],
        "gateway": [*twistd, "edgegw", "--config", str(HERE / "edgegw.yaml")],
    }
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            # A session of its own: Ctrl-C reaches this process alone, which then ends them in order.
            processes[name] = subprocess.Popen(command, start_new_session=True)
        deadline = time.monotonic() + READY_LIMIT_S
        while not (accepts(9000) and accepts(8080)):
            if ended(processes) or time.monotonic() > deadline:
                print(f"the demo did not start ({ended(processes) or 'time is over'})", file=sys.stderr)
                return 1
            time.sleep(0.05)
        print(WELCOME, flush=True)
        while not ended(processes):
            time.sleep(0.5)
        print(f"the {ended(processes)} ended by itself", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        stop(processes)


if __name__ == "__main__":
    sys.exit(main())
