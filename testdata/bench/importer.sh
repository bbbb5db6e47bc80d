#!/bin/sh
# Times the import of one OVA into a simulated vCenter beside govmomi's importer,
# which `govc import.ova -m` is: the same archive, the same server, in turns, the
# manifest checked by both. Ours also takes the content digest of the disk.
#
#   testdata/bench/importer.sh [-m MIB] [-l MBIT] [-n IMPORTS]
#
# Each imports IMPORTS (5) times. The archive of MIB (2048) lies in /dev/shm. MBIT
# (1000) is the link to the host that takes disks, 0 for none: then the simulator,
# in the same process, and the importer share the processors, and what the importer
# does beyond sending counts.
set -eu
mib=2048 link=1000 imports=5
while getopts m:l:n: o; do
	case $o in
	m) mib=$OPTARG ;; l) link=$OPTARG ;; n) imports=$OPTARG ;;
	*) exit 2 ;;
	esac
done
cd "$(dirname "$0")/../.."
CIMIMOVE_BENCH_IMPORTER=$mib CIMIMOVE_BENCH_LINK=$link CIMIMOVE_BENCH_IMPORTS=$imports exec go test ./cimi/host/vsphere -count=1 -run '^TestImporter$' -v
