"""WHMCS: the credentials of its calls, what its answers mean, and what may be sent again."""
