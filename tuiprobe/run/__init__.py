"""The run directory: layout, safe opening, records, arrays, locks, listing. No torch, no screen."""
