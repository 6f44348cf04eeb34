#!/usr/bin/env python3
"""Times the way of a task from its submission to Started, through `titus dev`; one JSON object on standard output.

The times are the platform's own: the Accepted of the job, and the Started of its one task, to the millisecond.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

JOB = {
    "owner": {"teamEmail": "bench@example.com"},
    "applicationName": "bench",
    "container": {
        "image": {"name": "host", "tag": "latest"},
        "entryPoint": ["/bin/true"],
        "resources": {"cpu": 0.1, "memoryMB": 32, "diskMB": 32, "networkMbps": 1},
    },
    "batch": {"size": 1},
}
SECONDS = 30


def titus(*words):
    return subprocess.run(["titus", *words], check=True, capture_output=True, text=True).stdout.strip()


def until(what, attempt):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if (found := attempt()) is not None:
            return found
        time.sleep(0.02)
    sys.exit(f"waited {SECONDS} s in vain for {what}")


def host():
    found = subprocess.run(["titus", "host", "list", "-o", "name"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def moment(record, state):
    """When a job or a task came to a state, in milliseconds; None when it has not."""
    for status in [*record.get("statusHistory", []), record["status"]]:
        if status["state"] == state:
            return int(status["timestamp"])
    return None


def measure(path):
    job = titus("job", "run", path, "--detach", "-o", "name")

    def ended():
        tasks = json.loads(titus("task", "list", "--job", job, "-o", "json"))["items"]
        return tasks[0] if tasks and tasks[0]["status"]["state"] == "Finished" else None

    task = until("the end of the task", ended)
    if task["status"].get("reasonCode") != "normal":
        sys.exit(f"the task has failed: {task['status']}")
    begun = moment(json.loads(titus("job", "status", job, "-o", "json")), "Accepted")
    return moment(task, "Started") - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--runtime", choices=["fake"], help="fake containers, without root")
    args, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="titus-bench-") as folder:
        path = os.path.join(folder, "job.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(JOB, file)
        command = ["titus", "dev", "--state-dir", f"{folder}/state", "--listen", os.environ["TITUS_ADDR"], "--allow-host-image"]
        command += ["--runtime", args.runtime] if args.runtime else []
        with open(f"{folder}/log", "w", encoding="utf-8") as log:
            dev = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until("a host", host)
            measure(path)  # the first one reads everything from disk
            times = [measure(path) for _ in range(args.runs)]
        finally:
            dev.send_signal(signal.SIGTERM)
            dev.wait(SECONDS)
    print(json.dumps({"bench": "launch", "case": "submit to Started", "metric": "launch_ms", "value": statistics.median(times),
                      "min": min(times), "max": max(times), "n": len(times)}))


if __name__ == "__main__":
    main()
