"""The owner sees, the owner decides: one desk for every surface."""
