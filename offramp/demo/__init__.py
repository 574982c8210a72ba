"""The demo: a real device agent, link and edge server on this machine, compared and reported."""
