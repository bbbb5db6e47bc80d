#!/bin/sh
# Times disk conversions of cimimove against those of qemu-img on the same
# file, alternating, and prints medians, ratios, output sizes and our peak
# memory as a table. Both read and write below DIR, best a tmpfs.
#
#   testdata/bench/compare.sh [-b BINARY] [-d DIR] [-n RUNS] [-i IMAGE | -s MIB] [ROW...]
#
# Without -i an ext4 image of MIB (default 1024), filled to about two fifths
# with files of /usr, is made once in DIR. ROW picks rows by name.
set -eu
binary=cimimove dir=/dev/shm/cimimove-bench runs=5 image= mib=1024
while getopts b:d:n:i:s: o; do
	case $o in
	b) binary=$OPTARG ;; d) dir=$OPTARG ;; n) runs=$OPTARG ;; i) image=$OPTARG ;; s) mib=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
for tool in qemu-img python3 "$binary"; do
	command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
mkdir -p "$dir"
if [ -z "$image" ]; then
	image=$dir/source-$mib.raw
	if [ ! -e "$image" ]; then
		command -v mkfs.ext4 >/dev/null || { echo "mkfs.ext4 is not installed" >&2; exit 1; }
		# Files of every size, in the order of their names, up to the share.
		rm -rf "$dir/tree"; mkdir "$dir/tree"
		(cd /usr && find bin lib share -xdev -type f -printf '%s %p\n' 2>/dev/null | sort -k 2 |
			awk -v max=$((mib * 1048576 / 5 * 2)) '(sum += $1) < max { print $2 }' | tar -cf - -T - 2>/dev/null) |
			tar -xf - -C "$dir/tree"
		truncate -s "${mib}M" "$image.part"
		mkfs.ext4 -q -d "$dir/tree" "$image.part"
		rm -rf "$dir/tree"
		mv "$image.part" "$image"
	fi
fi
exec python3 - "$binary" "$dir" "$runs" "$image" "$@" <<'PY'
import os, resource, statistics, subprocess, sys, time

binary, folder, runs, image = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
wanted = sys.argv[5:]
size = os.stat(image).st_size
out = os.path.join(folder, "out")


def made(name, *args):
    path = os.path.join(folder, name + "-" + str(size))
    if not os.path.exists(path):
        subprocess.run(["qemu-img", "convert", "-f", "raw", *args, image, path], check=True)
    return path


def ours(source, fmt, *args):
    return [binary, "disk", "convert", source, out, "--to", fmt, "--quiet", *args]


def theirs(source, *args):
    return ["qemu-img", "convert", *args, source, out]


def rows():
    stream = lambda: made("stream.vmdk", "-O", "vmdk", "-o", "subformat=streamOptimized")
    packed = lambda: made("packed.qcow2", "-c", "-O", "qcow2")
    plain = lambda: made("plain.qcow2", "-O", "qcow2")
    fast = ["-m", "16", "-W"]
    raw = ["--from", "raw"]
    yield "raw-vmdk", lambda: ours(image, "vmdk", *raw), lambda: theirs(image, "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized")
    yield "raw-vmdk-fast", lambda: ours(image, "vmdk", "--compress", "1", *raw), lambda: theirs(image, "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized")
    yield "vmdk-raw", lambda: ours(stream(), "raw"), lambda: theirs(stream(), "-f", "vmdk", "-O", "raw")
    yield "vmdk-qcow2", lambda: ours(stream(), "qcow2"), lambda: theirs(stream(), "-f", "vmdk", "-O", "qcow2")
    yield "raw-qcow2-zlib", lambda: ours(image, "qcow2", "--compress", "5", *raw), lambda: theirs(image, *fast, "-c", "-f", "raw", "-O", "qcow2")
    yield "qcow2-zlib-raw", lambda: ours(packed(), "raw"), lambda: theirs(packed(), "-f", "qcow2", "-O", "raw")
    yield "raw-qcow2", lambda: ours(image, "qcow2", *raw), lambda: theirs(image, "-f", "raw", "-O", "qcow2")
    yield "qcow2-raw", lambda: ours(plain(), "raw"), lambda: theirs(plain(), "-f", "qcow2", "-O", "raw")
    yield "raw-vhdx", lambda: ours(image, "vhdx", *raw), lambda: theirs(image, "-f", "raw", "-O", "vhdx")
    yield "raw-vhd", lambda: ours(image, "vhd", *raw), lambda: theirs(image, "-f", "raw", "-O", "vpc", "-o", "force_size=on")
    yield "raw-vdi", lambda: ours(image, "vdi", *raw), lambda: theirs(image, "-f", "raw", "-O", "vdi")
    yield "raw-vmdk-sparse", lambda: ours(image, "vmdk-sparse", *raw), lambda: theirs(image, "-f", "raw", "-O", "vmdk", "-o", "subformat=monolithicSparse")


def run(command):
    """Seconds, kilobytes of peak memory and length of the output."""
    if os.path.exists(out):
        os.remove(out)
    start = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    took = time.monotonic() - start
    if status:
        sys.exit("failed: " + " ".join(command))
    return took, usage.ru_maxrss, os.stat(out).st_size


print(f"{os.path.basename(image)}, {size >> 20} MiB, medians of {runs} alternating runs, MB/s of logical size")
print(f"{'conversion':16} {'qemu-img':>9} {'cimimove':>9} {'ratio':>6} {'their MiB':>10} {'our MiB':>8} {'size':>6} {'our peak MiB':>12}")
for name, our, their in rows():
    if wanted and name not in wanted:
        continue
    a, b = our(), their()
    mine, others, ratios, peak = [], [], [], 0
    for _ in range(runs):
        o, kib, ours_len = run(a)
        t, _, their_len = run(b)
        mine.append(o), others.append(t), ratios.append(t / o)
        peak = max(peak, kib)
    rate = lambda s: size / statistics.median(s) / 1e6
    print(f"{name:16} {rate(others):9.0f} {rate(mine):9.0f} {statistics.median(ratios):6.2f} {their_len / 2**20:10.1f} {ours_len / 2**20:8.1f} {ours_len / their_len:6.3f} {peak / 1024:12.1f}", flush=True)
os.remove(out)
PY
