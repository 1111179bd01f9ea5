"""What only builders need; it is no part of the wheel."""
