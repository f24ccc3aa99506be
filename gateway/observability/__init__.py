"""What the gateway tells its operators: metrics, log lines and the audit trail, all made from the rooms' events."""
