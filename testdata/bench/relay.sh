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
exec python3 - "$(command -v "$binary")" "$dir" "$size" "$data" "$verify" "$runs" <<'PY'
import json, os, random, re, shutil, signal, statistics, subprocess, sys, time

binary, folder, size, data, verify, runs = sys.argv[1:7]
binary, folder = os.path.abspath(binary), os.path.abspath(folder)
size, data, runs = int(float(size) * 2**30), int(float(data) * 2**30), int(runs)
env = dict(os.environ, XDG_CONFIG_HOME=folder, no_proxy="127.0.0.1")


def path(name):
    return os.path.join(folder, name)


def make_disk(name):
    """A sparse disk: data in runs of 8 MiB all over it."""
    run, seed = 8 << 20, random.Random(1)
    with open(name, "wb") as f:
        f.truncate(size)
        for at in sorted(seed.sample(range(size // run), data // run)):
            f.seek(at * run)
            f.write(seed.randbytes(run))


descriptor = """<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
<References><File ovf:id="f" ovf:href="big.img" ovf:size="%d"/></References>
<DiskSection><Info>disks</Info><Disk ovf:diskId="big" ovf:fileRef="f" ovf:capacity="%d"/></DiskSection>
<VirtualSystem ovf:id="big"><Info>a machine</Info><Name>big</Name><VirtualHardwareSection><Info>hardware</Info>
<Item><rasd:ElementName>cpu</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
<Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ElementName>memory</rasd:ElementName><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>64</rasd:VirtualQuantity></Item>
<Item><rasd:ElementName>scsi</rasd:ElementName><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></Item>
<Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:ElementName>disk</rasd:ElementName><rasd:HostResource>ovf:/disk/big</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
</VirtualHardwareSection></VirtualSystem></Envelope>"""

started = []


def serve(name):
    log = open(path(name + ".log"), "w")
    p = subprocess.Popen([binary, "serve", "local:" + path(name), "--listen", "127.0.0.1:0"], stdout=log, stderr=log, env=env)
    started.append(p)
    for _ in range(200):
        found = re.search(r"http://127\.0\.0\.1:\d+\S*", open(path(name + ".log")).read())
        if found:
            url = found.group(0).rstrip(".,")
            return p, url if "cloudEntryPoint" in url else url.rstrip("/") + "/cloudEntryPoint"
        time.sleep(0.05)
    raise SystemExit("the cloud does not say where it listens:\n" + open(path(name + ".log")).read())


def peak(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1)) << 10


def cpu(pid):
    """Seconds of processor time, in user and kernel mode."""
    return sum(int(n) for n in open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[11:13]) / os.sysconf("SC_CLK_TCK")


def reset(pid):
    with open(f"/proc/{pid}/clear_refs", "w") as f:
        f.write("5")  # the peak starts anew


failed = []
try:
    source = path("source")
    if not os.path.exists(path("source.done")):
        shutil.rmtree(source, ignore_errors=True)
        os.makedirs(path("package"), exist_ok=True)
        make_disk(path("package/big.img"))
        with open(path("package/big.ovf"), "w") as f:
            f.write(descriptor % (size, size))
        subprocess.run([binary, "import", path("package/big.ovf"), "local:" + source, "--progress", "none"], check=True, env=env, stdout=subprocess.DEVNULL)
        shutil.rmtree(path("package"))
        open(path("source.done"), "w").close()
    disk = [os.path.join(source, "disks", n) for n in os.listdir(os.path.join(source, "disks"))][0]
    peers, ours = [], []
    for run in range(runs):
        copy = path("copy.raw")
        begun = time.monotonic()
        subprocess.run(["cp", "--sparse=always", disk, copy], check=True)
        subprocess.run([binary, "disk", "info", "--digest", "sha256", "--from", "raw", copy], check=True, stdout=subprocess.DEVNULL, env=env)
        peers.append(time.monotonic() - begun)
        os.remove(copy)

        shutil.rmtree(path("destination"), ignore_errors=True)
        src, src_url = serve("source")
        dst, dst_url = serve("destination")
        reset(src.pid), reset(dst.pid)
        state = path("state")
        shutil.rmtree(state, ignore_errors=True)
        p = subprocess.Popen([binary, "migrate", src_url, "big", dst_url, "--via", "relay", "--verify", verify, "--state-dir", state,
                              "--output", "json", "--progress", "none"], stdout=subprocess.PIPE, env=env)
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
    for p in started:
        if p.poll() is None:
            p.kill()
if failed:
    raise SystemExit("missed: " + ", ".join(sorted(set(failed))))
PY
