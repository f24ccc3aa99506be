"""Benchmarks, each against a peer in the same run: `make bench`, or `python -m bench NAME`.

The one idea: machines differ and are noisy, so what is quoted is a ratio of medians between things measured in turn.
"""
