"""`offramp top`: a live view of servers and devices, from the metrics that they show."""
