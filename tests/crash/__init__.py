"""Gateways and Valkey killed at random under traffic, and a checker that judges what the clients saw."""
