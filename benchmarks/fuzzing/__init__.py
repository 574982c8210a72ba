"""What the benchmark `fuzz` attacks, and how."""
