"""The run directory: layout, safe opening, records, arrays, locks, listing. Loads no torch."""
