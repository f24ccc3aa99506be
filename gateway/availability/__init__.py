"""Whether Redis is there: a probe asks, a gate remembers the verdict, and strict mode answers for it.

Nobody asks Redis inside a request in order to find out; the gate is a value that the probe writes and the layers read.
"""
