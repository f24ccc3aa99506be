"""Salesforce: its session, what its clients send and read of one, and its limits."""
