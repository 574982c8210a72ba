"""Scheduling: which samples a server takes in, in what order they run, and together with whom."""
