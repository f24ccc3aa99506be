"""What the tests share: servers, clients, virtual time."""
