#!/bin/sh
# Times conversions of cimimove against the same work done with qemu-img, on the
# same files, alternating, and prints medians, ratios, output sizes and our peak
# memory as a table.
#
#   testdata/bench/compare.sh [-b BINARY] [-d DIR] [-n RUNS] [-i IMAGE | -s MIB] [-g] [ROW...]
#
# Everything is read and written below DIR, best a tmpfs with 10 GiB to spare.
# Without -i an ext4 image of MIB (4096), filled to 45 % with files drawn evenly
# from /usr, is made there once. ROW picks rows by name; -l lists them. With -g
# our runs with a content digest stand against our runs without one, instead,
# beside the ratio that those with it would have with every core busy to the end.
set -eu
binary=cimimove dir=/dev/shm/cimimove-bench runs=5 image= mib=4096 mode=peer
while getopts b:d:n:i:s:gl o; do
	case $o in
	b) binary=$OPTARG ;; d) dir=$OPTARG ;; n) runs=$OPTARG ;; i) image=$OPTARG ;; s) mib=$OPTARG ;;
	g) mode=digest ;; l) mode=list ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
for tool in qemu-img python3 mkfs.ext4 sha256sum tar "$binary"; do
	command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
mkdir -p "$dir"
exec python3 - "$binary" "$dir" "$runs" "$image" "$mib" "$mode" "$@" <<'PY'
import hashlib, os, shlex, shutil, statistics, subprocess, sys, time

binary, folder, runs, image, mib, mode = sys.argv[1:7]
wanted, runs = sys.argv[7:], int(runs)
binary, folder = shutil.which(binary), os.path.abspath(folder)
binary = os.path.abspath(binary)


def path(name):
    return os.path.join(folder, name)


def make_image(target):
    """An ext4 image of files of /usr, in the order of their names' digests."""
    left = int(mib) * 2**20 // 100 * 45
    tree = path("tree")
    shutil.rmtree(tree, ignore_errors=True)
    found = []
    for at, folders, files in os.walk("/usr"):
        found += [os.path.join(at, f) for f in files]
    for name in sorted(found, key=lambda n: hashlib.sha256(os.fsencode(n)).digest()):
        try:
            size = os.lstat(name).st_size
            if os.path.islink(name) or not os.path.isfile(name) or size > left:
                continue
            os.makedirs(os.path.dirname(tree + name), exist_ok=True)
            shutil.copyfile(name, tree + name)
        except OSError:
            continue
        left -= size
        if left < 1 << 20:
            break
    with open(target + ".part", "wb") as f:
        f.truncate(int(mib) << 20)
    subprocess.run(["mkfs.ext4", "-q", "-d", tree, target + ".part"], check=True)
    shutil.rmtree(tree)
    os.rename(target + ".part", target)


if mode != "list":
    if not image:
        image = path(f"source-{mib}.raw")
        if not os.path.exists(image):
            make_image(image)
    image = os.path.abspath(image)
    size = os.stat(image).st_size
out = path("out")


def made(name, *args):
    """An image of the source in another format, made by qemu-img once."""
    target = path(f"{os.path.basename(image)}-{name}")
    if not os.path.exists(target):
        subprocess.run(["qemu-img", "convert", "-f", "raw", *args, image, target + ".part"], check=True)
        os.rename(target + ".part", target)
    return target


DESCRIPTOR = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References><File ovf:id="f" ovf:href="%s" ovf:size="%d"/></References>
  <DiskSection><Info>disks</Info><Disk ovf:diskId="d" ovf:fileRef="f" ovf:capacity="%d" ovf:format="%s"/></DiskSection>
  <VirtualSystem ovf:id="vm"><Info>one machine</Info></VirtualSystem>
</Envelope>
"""
RAW = "http://wiki.rpath.com/wiki/rBuilder_Online:Raw_Filesystem_Image"
STREAM = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
MANIFEST = "sha256sum --tag app.ovf %s | sed 's/ (/(/; s/) =/)=/' >app.mf"


def package():
    """A folder with a descriptor and the source as its disk."""
    at = path(os.path.basename(image) + "-package")
    os.makedirs(at, exist_ok=True)
    if not os.path.exists(at + "/disk.raw"):
        try:
            os.link(image, at + "/disk.raw")
        except OSError:
            subprocess.run(["cp", "--sparse=always", image, at + "/disk.raw"], check=True)
        with open(at + "/app.ovf", "w") as f:
            f.write(DESCRIPTOR % ("disk.raw", size, size, RAW))
    return at


def archive():
    """An OVA of the source as qemu-img, sha256sum and tar make it."""
    target = path(os.path.basename(image) + "-app.ova")
    if not os.path.exists(target):
        at = path("archive")
        shutil.rmtree(at, ignore_errors=True)
        os.makedirs(at)
        os.link(stream(), at + "/disk.vmdk")
        with open(at + "/app.ovf", "w") as f:
            f.write(DESCRIPTOR % ("disk.vmdk", os.stat(at + "/disk.vmdk").st_size, size, STREAM))
        subprocess.run(f"cd {shlex.quote(at)} && {MANIFEST % 'disk.vmdk'} && tar -cf {shlex.quote(target)}.part app.ovf app.mf disk.vmdk", shell=True, check=True)
        os.rename(target + ".part", target)
        shutil.rmtree(at)
    return target


def stream():
    return made("stream.vmdk", "-O", "vmdk", "-o", "subformat=streamOptimized")


def packed():
    return made("packed.qcow2", "-c", "-m", "16", "-W", "-O", "qcow2")


def plain():
    return made("plain.qcow2", "-O", "qcow2")


def sparse():
    return made("sparse.vmdk", "-O", "vmdk", "-o", "subformat=monolithicSparse")


def ours(source, fmt, *args):
    return [binary, "disk", "convert", source, out, "--to", fmt, "--quiet", *args]


def theirs(source, *args):
    return ["qemu-img", "convert", *args, source, out]


def pack(*args):
    """Ours: one command. Theirs: the disk, its digest, the archive."""
    return [binary, "convert", package() + "/app.ovf", out + ".ova", "--disk-format", "vmdk", "--quiet", *args]


def pack_peer():
    return ["sh", "-ec", f"""rm -rf {out}.d; mkdir {out}.d; cd {out}.d; cp {package()}/app.ovf .
        qemu-img convert -f raw -O vmdk -o subformat=streamOptimized {image} disk.vmdk
        {MANIFEST % 'disk.vmdk'}; tar -cf {out}.ova app.ovf app.mf disk.vmdk"""]


def unpack_peer():
    return ["sh", "-ec", f"""mkdir {out}.d; cd {out}.d; tar -xf {archive()}; sha256sum --quiet -c app.mf
        qemu-img convert -f vmdk -O raw disk.vmdk disk.raw"""]


AS_RAW = ["--from", "raw"]
FASTEST = ["-m", "16", "-W"]
# name: our command, theirs. A conversion to streamOptimized takes qemu-img a
# minute: what ours stands against it with other options shares its runs.
ROWS = {
    "raw-vmdk": lambda: [("default", ours(image, "vmdk", *AS_RAW)), ("fast", ours(image, "vmdk", "--compress", "1", *AS_RAW)),
                         ("qemu-img", theirs(image, "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"))],
    "pack-ova": lambda: [("default", pack()), ("fast", pack("--compress", "1")), ("qemu-img, sha256sum, tar", pack_peer())],
    "vmdk-raw": lambda: [("", ours(stream(), "raw")), ("qemu-img", theirs(stream(), "-f", "vmdk", "-O", "raw"))],
    "unpack-ova": lambda: [("", [binary, "convert", archive(), out + ".d", "--disk-format", "raw", "--quiet"]), ("tar, sha256sum, qemu-img", unpack_peer())],
    "vmdk-qcow2": lambda: [("", ours(stream(), "qcow2")), ("qemu-img", theirs(stream(), "-f", "vmdk", "-O", "qcow2"))],
    "raw-qcow2-zlib": lambda: [("", ours(image, "qcow2", "--variant", "zlib", *AS_RAW)), ("qemu-img -m 16 -W", theirs(image, *FASTEST, "-c", "-f", "raw", "-O", "qcow2"))],
    "raw-qcow2-zstd": lambda: [("", ours(image, "qcow2", "--variant", "zstd", *AS_RAW)),
                               ("qemu-img -m 16 -W", theirs(image, *FASTEST, "-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd"))],
    "qcow2-zlib-raw": lambda: [("", ours(packed(), "raw")), ("qemu-img", theirs(packed(), "-f", "qcow2", "-O", "raw"))],
    "raw-qcow2": lambda: [("", ours(image, "qcow2", *AS_RAW)), ("qemu-img", theirs(image, "-f", "raw", "-O", "qcow2"))],
    "qcow2-raw": lambda: [("", ours(plain(), "raw")), ("qemu-img", theirs(plain(), "-f", "qcow2", "-O", "raw"))],
    "raw-vhdx": lambda: [("", ours(image, "vhdx", *AS_RAW)), ("qemu-img", theirs(image, "-f", "raw", "-O", "vhdx"))],
    "raw-vhd": lambda: [("", ours(image, "vhd", *AS_RAW)), ("qemu-img", theirs(image, "-f", "raw", "-O", "vpc", "-o", "force_size=on"))],
    "raw-vdi": lambda: [("", ours(image, "vdi", *AS_RAW)), ("qemu-img", theirs(image, "-f", "raw", "-O", "vdi"))],
    "raw-vmdk-sparse": lambda: [("", ours(image, "vmdk-sparse", *AS_RAW)), ("qemu-img", theirs(image, "-f", "raw", "-O", "vmdk", "-o", "subformat=monolithicSparse"))],
}


def clear():
    for p in (out, out + ".ova"):
        if os.path.exists(p):
            os.remove(p)
    shutil.rmtree(out + ".d", ignore_errors=True)


def length():
    for p in (out, out + ".ova"):
        if os.path.exists(p):
            return os.stat(p).st_size
    return max(os.stat(os.path.join(out + ".d", n)).st_size for n in os.listdir(out + ".d"))


def warm(chunk=bytes(1 << 20)):
    """Takes and gives back as much memory as the image fills. A virtual machine
    may have handed what was freed to its host, and whoever takes it first waits
    for it: not one of those who are timed. In small pieces: what this process has
    held counts as the peak of those that it starts."""
    with open(out, "wb") as f:
        for _ in range(0, os.stat(image).st_blocks * 512 + (64 << 20), len(chunk)):
            f.write(chunk)
    os.remove(out)


def run(command):
    """Seconds by the clock and of the cores, kilobytes of peak memory, length of the output."""
    clear()
    warm()
    start = time.monotonic()
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(pid, 0)
    took = time.monotonic() - start
    if status:
        sys.exit("failed: " + " ".join(command))
    return took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, length()


def measure(name, contestants):
    """Rounds of one run each; the last contestant is what the others are judged by."""
    took = {label: [] for label, _ in contestants}
    cores = {label: [] for label, _ in contestants}
    peak, lengths = {}, {}
    for _ in range(runs):
        for label, command in contestants:
            seconds, busy, kib, lengths[label] = run(command)
            took[label].append(seconds), cores[label].append(busy)
            peak[label] = max(peak.get(label, 0), kib)
    judge = contestants[-1][0]
    rate = lambda label: size / statistics.median(took[label]) / 1e6
    for label, _ in contestants[:-1]:
        ratio = statistics.median(t / o for o, t in zip(took[label], took[judge]))
        print(f"{(name + ' ' + label).strip():24} {judge:24} {rate(judge):7.0f} {rate(label):7.0f} {ratio:6.2f} "
              f"{lengths[judge] / 2**20:9.1f} {lengths[label] / 2**20:9.1f} {lengths[label] / lengths[judge]:6.3f} "
              f"{statistics.median(cores[judge]):7.2f} {statistics.median(cores[label]):7.2f} {peak[label] / 1024:8.1f}", end="")
        if mode == "digest":
            # No order of the work is faster than its core seconds spread over all cores.
            every = [c / os.cpu_count() for c in cores[label]]
            print(f" {statistics.median(t / e for t, e in zip(took[judge], every)):6.2f} {100 * statistics.median(e / o for e, o in zip(every, took[label])):6.0f}", end="")
        print(flush=True)


if mode == "list":
    print("\n".join(ROWS))
    sys.exit()
unknown = [w for w in wanted if w not in ROWS]
if unknown:
    sys.exit(f"no row {' '.join(unknown)}; there are {' '.join(ROWS)}")
print(f"{os.path.basename(image)}, {size >> 20} MiB; medians of {runs} alternating runs, MB/s of logical size; a ratio above 1 is faster")
print(f"{'conversion':24} {'against':24} {'MB/s':>7} {'ours':>7} {'ratio':>6} {'MiB':>9} {'ours':>9} {'size':>6} {'core-s':>7} {'ours':>7} {'peak MiB':>8}"
      + (f" {'bound':>6} {'busy %':>6}" if mode == "digest" else ""))
for name, contestants in ROWS.items():
    if wanted and name not in wanted:
        continue
    entries = contestants()
    if mode == "digest":
        if entries[0][1][1] != "disk":
            continue  # a package's disks are always digested
        entries = [("digest", entries[0][1] + ["--digest", "content"]), ("no digest", entries[0][1])]
    measure(name, entries)
clear()
PY
