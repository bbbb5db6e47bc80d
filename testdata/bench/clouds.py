"""What the measurements between two local clouds on loopback share."""
import os, random, re, shutil, subprocess, time

started = []  # processes, to be ended


def begin(of_binary, of_folder):
    """Says which cimimove is measured, and in which folder."""
    global binary, folder, env
    binary, folder = os.path.abspath(of_binary), os.path.abspath(of_folder)
    env = dict(os.environ, XDG_CONFIG_HOME=folder, no_proxy="127.0.0.1")


def path(name):
    return os.path.join(folder, name)


def make_disk(name, size, data, seed):
    """A sparse disk: data in runs of 8 MiB all over it."""
    run, seed = 8 << 20, random.Random(seed)
    with open(name, "wb") as f:
        f.truncate(size)
        for at in sorted(seed.sample(range(size // run), data // run)):
            f.seek(at * run)
            f.write(seed.randbytes(run))


descriptor = """<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
<References><File ovf:id="f" ovf:href="disk.img" ovf:size="%d"/></References>
<DiskSection><Info>disks</Info><Disk ovf:diskId="disk" ovf:fileRef="f" ovf:capacity="%d"/></DiskSection>
<VirtualSystem ovf:id="vm"><Info>a machine</Info><Name>vm</Name><VirtualHardwareSection><Info>hardware</Info>
<Item><rasd:ElementName>cpu</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
<Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ElementName>memory</rasd:ElementName><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>64</rasd:VirtualQuantity></Item>
<Item><rasd:ElementName>scsi</rasd:ElementName><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></Item>
<Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:ElementName>disk</rasd:ElementName><rasd:HostResource>ovf:/disk/disk</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
</VirtualHardwareSection></VirtualSystem></Envelope>"""


def make_source(names, size, data):
    """A cloud with a System of each name that has one such disk; one that was made before stays."""
    if os.path.exists(path("source.done")):
        return
    shutil.rmtree(path("source"), ignore_errors=True)
    for seed, name in enumerate(names):
        os.makedirs(path("package"), exist_ok=True)
        make_disk(path("package/disk.img"), size, data, seed)
        with open(path("package/vm.ovf"), "w") as f:
            f.write(descriptor % (size, size))
        run("import", path("package/vm.ovf"), "local:" + path("source"), "--name", name, "--progress", "none")
        shutil.rmtree(path("package"))
    open(path("source.done"), "w").close()


def run(*args):
    subprocess.run([binary, *args], check=True, env=env, stdout=subprocess.DEVNULL)


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


def cpu(pid):
    """Seconds of processor time, in user and kernel mode."""
    return sum(int(n) for n in open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[11:13]) / os.sysconf("SC_CLK_TCK")


def peak(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1)) << 10


def reset(pid):
    with open(f"/proc/{pid}/clear_refs", "w") as f:
        f.write("5")  # the peak starts anew


def end():
    for p in started:
        if p.poll() is None:
            p.kill()
