"""The bundled demo: a small backend, simulators of both vendors that count what reaches them, and the tour.

It lets a newcomer see the gateway's four jobs work on one machine, and gives the test suite honest vendors.
"""
