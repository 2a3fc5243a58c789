#!/usr/bin/env python3
"""The benchmarks of this build run, if there are any, and say all that they promise. No time is judged.

usage: smoke_test.py BUILD     exit code 77: the target `benchmarks` has not been made, or not since the libraries were
"""
import json
import os
import pathlib
import subprocess
import sys

SKIPPED = 77
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def check(what, happened=""):
    if not what:
        sys.exit(f"not so: {happened}")


def main():
    build = pathlib.Path(sys.argv[1])
    made = build / "libexec/kdpc-benchmarks/.made"
    libraries = [library.stat().st_mtime for library in build.glob("lib/libkdpc-*.so")]
    if not made.exists() or made.stat().st_mtime < max(libraries, default=0):
        print("skipped: the target 'benchmarks' has not been made since the libraries were")
        sys.exit(SKIPPED)
    done = subprocess.run([ROOT / "tools/bench", build, "--quick", "--json"], capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"exit code {done.returncode}\n{done.stderr}")
    document = json.loads(done.stdout)
    for figure in document["figures"]:
        for key in ("id", "ours", "against", "ratio", "goal", "met", "unit", "sentence"):
            check(key in figure, f"{figure['id']} has {key}")
        if "absent" not in figure:
            check(figure["ours"] > 0 and figure["against"] > 0 and abs(figure["ratio"] - figure["ours"] / figure["against"]) < 1e-6 * figure["ratio"], figure)
    measured = {figure["id"] for figure in document["figures"] if "absent" not in figure}
    everywhere = ("live.raise_lower", "live.insert_retire", "live.insert_retire.nt", "live.insert_retire.peer", "live.isr_to_dpc", "live.thread_switch",
                  "live.queue_length", "live.processors", "sim.events")
    with_two = ("live.remote_polling", "live.remote_busy", "live.remote_blocked", "live.stream.nt")
    for wanted in everywhere + (with_two if len(os.sched_getaffinity(0)) > 1 else ()):
        check(wanted in measured, f"{wanted} is measured")
    rows = {peer["id"]: peer for peer in document["peers"]}
    for wanted in ("asio", "condvar", "condvar_swap", "glib", "io_uring", "libevent", "libuv", "nt_queue", "tbb"):
        row = rows.get(wanted, {})
        everything = all(row.get(key) for key in ("same_core", "same_core_64", "stream", "one_way_p50", "one_way_p99", "round_trip_p50"))
        check(everything or row.get("absent") or row.get("errors"), f"{wanted} is measured, or says why not: {row}")
    print(f"{len(measured)} figures, {len(rows)} rows of peers")


main()
