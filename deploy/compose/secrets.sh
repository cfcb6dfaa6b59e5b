#!/bin/sh
# Makes the secrets of the compose file, each once: what is there stays. The folder is its owner's alone; the files in it
# are readable by all, since the processes that they are mounted into run as users of their own.
set -eu
folder=${1:-"$(dirname "$0")/secrets"}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# keep NAME VALUE: writes the secret unless it is there.
keep() {
  if [ ! -s "$folder/$1" ]; then
    printf '%s' "$2" >"$folder/$1.new"
    chmod 444 "$folder/$1.new"
    mv "$folder/$1.new" "$folder/$1"
  fi
}

for name in redis_password postgres_password producer_token board_token grafana_password; do
  keep "$name" "$(random)"
done
redis_password=$(cat "$folder/redis_password")
hash=$(printf '%s' "$redis_password" | sha256sum | cut -d ' ' -f 1)
# The default user is off; ours may do what BullMQ needs, on keys of ours alone.
keep redis_acl "user default off
user headroom on #$hash resetchannels &{headroom}* ~{headroom}* -@all +@read +@write +@blocking +@transaction +@scripting +@connection +@pubsub -@dangerous +info +client|list
"
keep redis_url "redis://headroom:$redis_password@redis:6379"
keep store_url "postgres://headroom:$(cat "$folder/postgres_password")@postgres/headroom"
