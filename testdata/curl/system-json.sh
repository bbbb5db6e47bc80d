# A System of three machines, from the entry point $1 on, in JSON.
set -eu
cimi=http://schemas.dmtf.org/cimi/2
type='Content-Type: application/json'
accept='Accept: application/json'
get() { curl -fsS -H "$accept" "$1"; }
# send METHOD URL BODY: prints what the provider answers, once the Job that it names in a header is done.
send() {
  curl -fsS -X "$1" -H "$type" -H "$accept" -D headers -d "$3" "$2"
  job=$(sed -n 's/^cimi-job-uri: *//Ip' headers | tr -d '\r')
  until get "$job" | jq -e '.state | IN("SUCCESS", "FAILED", "STOPPED")' >/dev/null; do sleep 0.2; done
  get "$job" | jq -e '.state == "SUCCESS"' >/dev/null
}
# operation REL: the href under which the resource on standard input offers it, if it does.
operation() { jq -r --arg rel "$1" '.operations[]? | select(.rel == $rel or (.rel | endswith("/action/" + $rel))) | .href'; }
act() { send POST "$1" "{\"resourceURI\": \"$cimi/Action\", \"action\": \"$cimi/action/$2\"${3-}}"; }

# Create: three machines by one template, given by value.
systems=$(get "$1" | jq -r .systems.href)
system=$(send POST "$(get "$systems" | operation add)" '{
  "resourceURI": "'$cimi'/SystemCreate", "name": "shop",
  "systemTemplate": {"componentDescriptors": [{
    "name": "web", "type": "'$cimi'/Machine", "quantity": 3,
    "machineTemplate": {"initialState": "STOPPED",
      "machineConfig": {"cpu": 1, "memory": 65536, "disks": [{"capacity": 10000}]}}}]}}' | jq -r .id)
machines=$(get "$system" | jq -r .machines.href)
echo "created $(get "$machines" | jq .count) machines"

# Change: what $select names, the rest stays.
send PUT "$(get "$system" | operation edit)?\$select=description" '{
  "resourceURI": "'$cimi'/System", "description": "three of a kind"}' | jq -r '"changed \(.name): \(.description)"'

# Start, where the host can; stop, by force as nothing is installed; snapshot.
for m in $(get "$machines" | jq -r '.machines[].id'); do
  start=$(get "$m" | operation start)
  [ -z "$start" ] || act "$start" start >/dev/null
  stop=$(get "$m" | operation stop)
  [ -z "$stop" ] || act "$stop" stop ', "force": true' >/dev/null
  act "$(get "$m" | operation snapshot)" snapshot >/dev/null
  get "$(get "$m" | jq -r .snapshots.href)" | jq -r '"\(.count) snapshot"'
done

# Delete: the System with everything in it.
send DELETE "$(get "$system" | operation delete)" '' >/dev/null
echo "left $(get "$systems" | jq .count) systems"
