#!/bin/sh
# Makes the secrets of the compose file, each once: what is there stays. The folder is its owner's alone; the files in it
# are readable by all, since the processes that they are mounted into run as users of their own.
set -eu
here=$(dirname "$0")
folder=${1:-"$here/secrets"}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# write NAME VALUE: the secret is the value from now on.
write() {
  printf '%s' "$2" >"$folder/$1.new"
  chmod 444 "$folder/$1.new"
  mv "$folder/$1.new" "$folder/$1"
}

# keep NAME VALUE: writes the secret unless it is there.
keep() {
  [ -s "$folder/$1" ] || write "$1" "$2"
}

for name in redis_password postgres_password producer_token board_token grafana_password; do
  keep "$name" "$(random)"
done
for user in producer worker scheduler board; do
  keep "redis_url_$user" "redis://$user:$(random)@redis:6379"
done
keep store_url "postgres://headroom:$(cat "$folder/postgres_password")@postgres/headroom"

# hash_of PASSWORD: what Redis keeps in its place.
hash_of() { printf '%s' "$1" | sha256sum | cut -d ' ' -f 1; }

# password_of USER: from the address that its process has.
password_of() { sed 's|^redis://[^:]*:\([^@]*\)@.*|\1|' "$folder/redis_url_$1"; }

# The users of ../redis/users.acl that have a part here, always as that file has them now. redis_password is that of
# `monitor`, which asks whether Redis is well.
set -- -e "s/^\(user monitor on \)>PASSWORD/\1#$(hash_of "$(cat "$folder/redis_password")")/"
# `operator` and `admin` are there only where somebody has made redis_url_operator or redis_url_admin: docs/deploy-compose.md.
for user in producer worker scheduler board operator admin; do
  [ -s "$folder/redis_url_$user" ] || continue
  set -- "$@" -e "s/^\(user $user on \)>PASSWORD/\1#$(hash_of "$(password_of "$user")")/"
done
write redis_acl "$(sed "$@" -e '/>PASSWORD/d' "$here/../redis/users.acl")
"
