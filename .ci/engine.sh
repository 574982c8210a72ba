# Sourced by the checks that run containers: on the engine that is there (DOCKER_HOST names another
# than the usual one), else on one that a local helper starts.
#
# Such a check sets its name in `check` and its time in `limit_s`, and defines `clean_up`. It ends
# with 124 if all of it takes too long, and with 0 where there can be no engine, and says why.

helper=../shared/tools/local-docker
started=
exec 3>&1

answers() { docker info >/dev/null 2>&1; }

skip() {  # WHY
  echo "$check skipped: $1"
  exit 0
}

phase() {  # NAME COMMAND...: run it within what is left of the time, and say how long it took
  local begin=$SECONDS status=0
  timeout --kill-after=15 "$((limit_s > SECONDS ? limit_s - SECONDS : 1))" "${@:2}" || status=$?
  echo "$check: $1 took $((SECONDS - begin)) s, status $status" >&3
  return "$status"
}

finish() {
  local status=$?
  trap - EXIT
  clean_up || true
  if [ -n "$started" ]; then "$helper" down >&2 || true; fi
  exit "$status"
}

start() {  # the helper says where the engine that it has started listens
  local said status=0
  said=$(phase "engine" "$helper" up) || status=$?
  echo "$said"
  [ "$status" = 0 ] || exit "$status"
  DOCKER_HOST=$(sed -n 's/.*export DOCKER_HOST=//p' <<<"$said")
  export DOCKER_HOST
  answers || { echo "$check failed: the engine at '$DOCKER_HOST' does not answer"; exit 1; }
}

need_engine() {  # sets the traps; an engine that was started here has the base image afterwards
  local none="no Docker engine answers at ${DOCKER_HOST:-its usual socket}, and"
  if ! answers; then
    [ -x "$helper" ] || skip "$none no local helper is there to start one"
    [ "$(id -u)" = 0 ] || skip "$none the local helper that could start one needs root"
    started=yes
  fi
  trap finish EXIT
  trap 'exit 143' TERM
  trap 'exit 130' INT
  if [ -n "$started" ]; then
    start
    phase "base image" "$helper" images 3.11
  fi
}
