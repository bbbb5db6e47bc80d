#!/bin/sh
# Gives guests that come from another hypervisor the drivers of this one: for
# a hook before their first start at the destination,
#
#   cimimove migrate … --power-on --hook "before start=testdata/hooks/virt-v2v-in-place.sh qemu:///system"
#
# or, with a deadline of its own, in a file for --hooks (see hooks.yaml). The
# argument is the libvirt connection of the destination. The disks are
# verified by then, so what virt-v2v changes in them is no damage.
set -eu
uri=${1:?the libvirt connection of the destination, such as qemu:///system}
cat >/dev/null # the plan, as JSON; the names of the machines are enough here
printf '%s\n' "$CIMIMOVE_MACHINES" | while IFS= read -r guest; do
	virt-v2v-in-place -i libvirt -ic "$uri" "$guest" </dev/null
done
