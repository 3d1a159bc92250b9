"""Stand-ins for the outside world, real HTTP on loopback: Claude, Telegram, and a destination that keeps a ledger."""
