"""The simulated world: devices, links and servers in virtual time, driven by the deployed code."""
