"""The operators' own listener: probes for kubelet, metrics for Prometheus. It reads; it changes nothing."""
