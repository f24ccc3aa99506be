"""Maintenance: the operator's message instead of the service, on the routes that are told to."""
