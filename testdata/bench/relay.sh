#!/bin/sh
# Measures a relayed migration between two local clouds on loopback against
# `cp --sparse=always` of the same disk followed by
# `cimimove disk info --digest sha256`, side by side on the same files:
#
#   testdata/bench/relay.sh [-b BINARY] [-d DIR] [-s GIB] [-c GIB] [-v none|digest|full] [-n RUNS]
#
# The disk has -s GiB (16), of which -c GiB (4) hold data. Three processes: two
# `cimimove serve local:…`, and the `cimimove migrate --via relay` between them.
# With -n 0 the source is made ready in DIR, and nothing is measured.
# It prints times, the ratio of the rates, the peak memory of each process, and
# how many bytes the relaying process wrote to disk (/proc/PID/io). It fails
# below 60 %, above 128 MiB, or above 16 MiB written.
set -eu
binary=cimimove dir=/dev/shm/cimimove-relay size=16 data=4 verify=none runs=1
while getopts b:d:s:c:v:n: o; do
	case $o in
	b) binary=$OPTARG ;; d) dir=$OPTARG ;; s) size=$OPTARG ;; c) data=$OPTARG ;; v) verify=$OPTARG ;; n) runs=$OPTARG ;;
	*) exit 2 ;;
	esac
done
for tool in python3 cp "$binary"; do
	command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
mkdir -p "$dir"
PYTHONPATH=$(dirname "$0") PYTHONDONTWRITEBYTECODE=1 exec python3 - "$(command -v "$binary")" "$dir" "$size" "$data" "$verify" "$runs" <<'PY'
import json, os, re, shutil, signal, statistics, subprocess, sys, time

import clouds
from clouds import cpu, path, peak, reset, serve, started

binary, folder, size, data, verify, runs = sys.argv[1:7]
clouds.begin(binary, folder)
size, data, runs = int(float(size) * 2**30), int(float(data) * 2**30), int(runs)
failed = []
try:
    source = path("source")
    clouds.make_source(["big"], size, data)
    disk = [os.path.join(source, "disks", n) for n in os.listdir(os.path.join(source, "disks"))][0]
    peers, ours = [], []
    for run in range(runs):
        copy = path("copy.raw")
        begun = time.monotonic()
        subprocess.run(["cp", "--sparse=always", disk, copy], check=True)
        subprocess.run([clouds.binary, "disk", "info", "--digest", "sha256", "--from", "raw", copy], check=True, stdout=subprocess.DEVNULL, env=clouds.env)
        peers.append(time.monotonic() - begun)
        os.remove(copy)

        shutil.rmtree(path("destination"), ignore_errors=True)
        src, src_url = serve("source")
        dst, dst_url = serve("destination")
        reset(src.pid), reset(dst.pid)
        state = path("state")
        shutil.rmtree(state, ignore_errors=True)
        p = subprocess.Popen([clouds.binary, "migrate", src_url, "big", dst_url, "--via", "relay", "--verify", verify, "--state-dir", state,
                              "--output", "json", "--progress", "none"], stdout=subprocess.PIPE, env=clouds.env)
        started.append(p)
        written = most = 0
        while True:
            # A zombie still tells what it wrote, and no more what it used.
            try:
                most = max(most, peak(p.pid))
            except (AttributeError, OSError):
                pass
            pid, status = os.waitid(os.P_PID, p.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) and (p.pid, 0) or (0, 0)
            work = {"relay": cpu(p.pid)}
            written = int(re.search(r"\nwrite_bytes: (\d+)", open(f"/proc/{p.pid}/io").read()).group(1))
            if pid:
                break
            time.sleep(0.05)
        report = json.loads(p.stdout.read())
        if p.wait() != 0:
            raise SystemExit("the migration failed: " + json.dumps(report.get("error")))
        when = {s["name"]: s for s in report["steps"]}

        def at(text):
            return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) + float("0" + re.search(r"(\.\d+)?Z", text).group(0)[:-1] or 0)

        ours.append(at(when["transfer"]["ended"]) - at(when["export"]["started"]))
        memory = {"source": peak(src.pid), "destination": peak(dst.pid), "relay": most}
        work |= {"source": cpu(src.pid), "destination": cpu(dst.pid)}
        for q in (src, dst):
            q.send_signal(signal.SIGTERM)
            q.wait()
        ratio = peers[-1] / ours[-1]
        print(f"run {run + 1}: cp and digest {peers[-1]:.2f} s, relay {ours[-1]:.2f} s, {100 * ratio:.0f} % of the rate; peak MiB "
              + ", ".join(f"{k} {v / 2**20:.0f}" for k, v in memory.items()) + f"; CPU s " + ", ".join(f"{k} {v:.1f}" for k, v in work.items()) + f"; the relay wrote {written / 2**20:.2f} MiB", flush=True)
        if any(v >= 128 << 20 for v in memory.values()):
            failed.append("memory")
        if written >= 16 << 20:
            failed.append("written")
    if runs == 0:
        raise SystemExit(0)  # made ready
    ratio = statistics.median(peers) / statistics.median(ours)
    print(f"median: {100 * ratio:.0f} % of the rate of cp --sparse=always and disk info --digest sha256 ({size >> 20} MiB, {data >> 20} MiB of data, verify {verify})")
    if ratio < 0.6:
        failed.append("rate")
finally:
    clouds.end()
if failed:
    raise SystemExit("missed: " + ", ".join(sorted(set(failed))))
PY
