"""How fast a link serves bytes: rates as functions of time, integrated exactly."""
