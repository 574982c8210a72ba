"""Security: who may connect to a server, what they may do, and how much of it."""
