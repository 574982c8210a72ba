"""Where a graph of operations is best cut: exact minimum cuts, their envelopes, exits and prices.

Pure arithmetic on graphs; nothing here knows how a model runs. `docs/design/2026-11-23-planning.md`
proves what is relied on.
"""
