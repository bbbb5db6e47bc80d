# A System of three machines, from the entry point $1 on, in XML.
set -eu
cimi=http://schemas.dmtf.org/cimi/2
type='Content-Type: application/xml'
accept='Accept: application/xml'
get() { curl -fsS -H "$accept" "$1"; }
# of PATH: what the XPath says of the document on standard input; names without prefix are CIMI's.
of() { xmllint --xpath "$1" - 2>/dev/null || true; }
# send METHOD URL BODY: prints what the provider answers, once the Job that it names in a header is done.
send() {
  curl -fsS -X "$1" -H "$type" -H "$accept" -D headers -d "$3" "$2"
  job=$(sed -n 's/^cimi-job-uri: *//Ip' headers | tr -d '\r')
  while :; do
    case $(get "$job" | of "string(/*/*[local-name()='state'])") in
      SUCCESS) return ;;
      FAILED | STOPPED) return 1 ;;
    esac
    sleep 0.2
  done
}
# attribute NAME, href NAME: of the resource on standard input.
attribute() { of "string(/*/*[local-name()='$1'])"; }
href() { of "string(/*/*[local-name()='$1']/@href)"; }
# operation REL: the href under which the resource on standard input offers it, if it does.
operation() { of "string(/*/*[local-name()='operation'][@rel='$1' or @rel='$cimi/action/$1']/@href | /*/*[local-name()='operations']/*[@rel='$1' or @rel='$cimi/action/$1']/@href)"; }
act() { send POST "$1" "<Action xmlns=\"$cimi\"><action>$cimi/action/$2</action>${3-}</Action>"; }

# Create: three machines by one template, given by value.
systems=$(get "$1" | href systems)
system=$(send POST "$(get "$systems" | operation add)" '
  <SystemCreate xmlns="'$cimi'"><name>shop</name>
    <systemTemplate><componentDescriptors><componentDescriptor>
      <name>web</name><type>'$cimi'/Machine</type>
      <machineTemplate><initialState>STOPPED</initialState>
        <machineConfig><cpu>1</cpu><memory>65536</memory><disks><disk><capacity>10000</capacity></disk></disks></machineConfig>
      </machineTemplate>
      <quantity>3</quantity>
    </componentDescriptor></componentDescriptors></systemTemplate>
  </SystemCreate>' | attribute id)
machines=$(get "$system" | href machines)
echo "created $(get "$machines" | attribute count) machines"

# Change: what $select names, the rest stays.
changed=$(send PUT "$(get "$system" | operation edit)?\$select=description" '
  <System xmlns="'$cimi'"><description>three of a kind</description></System>')
echo "changed $(echo "$changed" | attribute name): $(echo "$changed" | attribute description)"

# Start, where the host can; stop, by force as nothing is installed; snapshot.
for i in 1 2 3; do
  m=$(get "$machines" | of "string((//*[local-name()='Machine']/*[local-name()='id'])[$i])")
  start=$(get "$m" | operation start)
  [ -z "$start" ] || act "$start" start >/dev/null
  stop=$(get "$m" | operation stop)
  [ -z "$stop" ] || act "$stop" stop '<force>true</force>' >/dev/null
  act "$(get "$m" | operation snapshot)" snapshot >/dev/null
  echo "$(get "$(get "$m" | href snapshots)" | attribute count) snapshot"
done

# Delete: the System with everything in it.
send DELETE "$(get "$system" | operation delete)" '' >/dev/null
echo "left $(get "$systems" | attribute count) systems"
