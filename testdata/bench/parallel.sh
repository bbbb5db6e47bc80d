#!/bin/sh
# Measures a runbook of eight Systems between two local clouds on loopback, one
# after the other and all at once, against the bound that one transfer meets:
#
#   testdata/bench/parallel.sh [-b BINARY] [-d DIR] [-m MIB] [-c MIB] [-w WAY] [-v none|digest|full] [-n RUNS] [-p FILE]
#
# Each System has one disk of -m MiB (1024), of which -c MiB (256) hold data.
# Three processes: two `cimimove serve local:…`, and `cimimove run` between them.
# The bound is what the processors, or the disk that DIR is on, can do: the
# processor time of the Systems one after the other spread over all cores, or the
# time that the disk is busy, whichever is longer. -p writes a profile of the
# last parallel run with perf, for `perf report -i FILE`.
# It fails below 90 % of the bound, or when all at once take longer than one
# after the other.
set -eu
binary=cimimove dir=/dev/shm/cimimove-parallel size=1024 data=256 way=auto verify=full runs=1 profile=
while getopts b:d:m:c:w:v:n:p: o; do
	case $o in
	b) binary=$OPTARG ;; d) dir=$OPTARG ;; m) size=$OPTARG ;; c) data=$OPTARG ;; w) way=$OPTARG ;; v) verify=$OPTARG ;; n) runs=$OPTARG ;; p) profile=$OPTARG ;;
	*) exit 2 ;;
	esac
done
for tool in python3 ${profile:+perf} "$binary"; do
	command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
mkdir -p "$dir"
PYTHONPATH=$(dirname "$0") PYTHONDONTWRITEBYTECODE=1 exec python3 - "$(command -v "$binary")" "$dir" "$size" "$data" "$way" "$verify" "$runs" "$profile" <<'PY'
import json, os, shutil, signal, statistics, subprocess, sys, time

import clouds
from clouds import cpu, path, peak, serve, started

binary, folder, size, data, way, verify, runs, profile = sys.argv[1:]
clouds.begin(binary, folder)
profile = profile and os.path.abspath(profile)
size, data, runs = int(size) << 20, int(data) << 20, int(runs)
systems = 8
cores = len(os.sched_getaffinity(0))


def busy():
    """Seconds for which the disk that the folder is on was at work; 0 in memory."""
    d = os.stat(clouds.folder).st_dev
    for line in open("/proc/diskstats"):
        f = line.split()
        if (int(f[0]), int(f[1])) == (os.major(d), os.minor(d)):
            return int(f[12]) / 1000
    return 0.0


def move(n, at_once, record=None):
    """Moves n Systems, so many at once: seconds, processor seconds, seconds of the disk, peaks."""
    shutil.rmtree(path("destination"), ignore_errors=True)
    shutil.rmtree(path("state"), ignore_errors=True)
    os.sync()
    src, src_url = serve("source")
    dst, dst_url = serve("destination")
    book = path("book.yaml")
    with open(book, "w") as f:
        json.dump({"version": 1, "endpoints": {"old": {"url": src_url}, "new": {"url": dst_url}},
                   "defaults": {"source": "old", "destination": "new", "verify": verify, "via": way},
                   "limits": {"systems": at_once}, "systems": [{"system": f"app-{i}"} for i in range(n)]}, f)
    before, disk, begun = cpu(src.pid) + cpu(dst.pid), busy(), time.monotonic()
    p = subprocess.Popen([clouds.binary, "run", book, "--state-dir", path("state"), "--output", "json", "--progress", "none"], stdout=subprocess.PIPE, env=clouds.env)
    started.append(p)
    perf = None
    if record:
        perf = subprocess.Popen(["perf", "record", "-q", "-g", "-F", "199", "-o", record, "-p", f"{src.pid},{dst.pid},{p.pid}"], stderr=subprocess.DEVNULL)
        started.append(perf)
    out = p.stdout.read()
    os.waitid(os.P_PID, p.pid, os.WEXITED | os.WNOWAIT)
    took = time.monotonic() - begun
    work = cpu(p.pid) + cpu(src.pid) + cpu(dst.pid) - before
    if p.wait() != 0 or json.loads(out)["verified"] + json.loads(out).get("skipped", 0) < n and verify != "none":
        raise SystemExit("the run failed: " + out.decode())
    disk = busy() - disk
    if perf:
        perf.send_signal(signal.SIGINT)
        perf.wait()
    peaks = peak(src.pid), peak(dst.pid)
    for q in (src, dst):
        q.send_signal(signal.SIGTERM)
        q.wait()
    return took, work, disk, peaks


def rate(n, seconds):
    return f"{n * data / seconds / 2**20:.0f} MiB/s"


failed = []
try:
    clouds.make_source([f"app-{i}" for i in range(systems)], size, data)
    shares, gains = [], []
    for run in range(runs):
        one = move(1, 1)
        row = move(systems, 1)
        all_ = move(systems, systems, profile if run == runs - 1 else None)
        bound = max(row[1] / cores, row[2])
        what = "the disk" if row[2] > row[1] / cores else f"{cores} cores"
        shares.append(bound / all_[0])
        gains.append(row[0] / all_[0])
        print(f"run {run + 1}: one {rate(1, one[0])}; {systems} one by one {row[0]:.2f} s, {rate(systems, row[0])}, CPU {row[1]:.1f} s, disk {row[2]:.1f} s; "
              f"all at once {all_[0]:.2f} s, {rate(systems, all_[0])}, CPU {all_[1]:.1f} s ({100 * all_[1] / all_[0] / cores:.0f} % of {cores} cores), disk {all_[2]:.1f} s; "
              f"bound by {what}: {bound:.2f} s, {rate(systems, bound)}; {100 * shares[-1]:.0f} % of it; peak MiB " + ", ".join(f"{p / 2**20:.0f}" for p in all_[3]), flush=True)
    share, gain = statistics.median(shares), statistics.median(gains)
    print(f"median: {100 * share:.0f} % of the bound, {gain:.2f} times the rate of one after the other ({systems} Systems, {data >> 20} MiB of data each, via {way}, verify {verify})")
    if share < 0.9:
        failed.append("bound")
    if gain < 1:
        failed.append("slower than one after the other")
finally:
    clouds.end()
if failed:
    raise SystemExit("missed: " + ", ".join(failed))
PY
