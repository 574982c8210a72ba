#!/usr/bin/env bash
# One relay for each strategy, all with the same link, on ports from 6001. A relay's time begins
# with its first connection, so every strategy meets the same phases however long a start takes.
set -euo pipefail

port=6001
for _ in $STRATEGIES; do
  offramp shape --listen "0.0.0.0:$port" --upstream "$UPSTREAM" --link "$LINK" &
  port=$((port + 1))
done
trap 'kill $(jobs -p); wait; exit 0' TERM INT
wait -n  # relays end only when they are stopped: if one fails, so does the container
