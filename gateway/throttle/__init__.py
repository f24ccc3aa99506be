"""The throttle room: calls over an upstream's limits wait in line, and never more leave than its policy allows."""
