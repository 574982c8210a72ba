"""Reports: what became of runs, for the terminal, as one HTML file and as JSON."""
