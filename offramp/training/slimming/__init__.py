"""A slimmed device part: inner widths reduced, what leaves it as it was. It needs torch."""
