"""What an upstream's failures lead to: another attempt, or none for a while."""
