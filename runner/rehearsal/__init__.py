"""Stand-ins for the outside world, real HTTP on loopback: Claude, and a destination that keeps a ledger."""
