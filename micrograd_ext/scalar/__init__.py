"""More with Values: derivatives as formulas, the tape, formulas in text."""
