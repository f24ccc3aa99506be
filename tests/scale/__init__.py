"""What an operation costs does not depend on how many users there are."""
