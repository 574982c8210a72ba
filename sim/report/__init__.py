"""The report of `offramp simulate`: what its results say, in words, tables and figures."""
